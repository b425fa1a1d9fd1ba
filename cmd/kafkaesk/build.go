package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// buildOptions are the flags of `kafkaesk build`.
type buildOptions struct {
	output string
	tags   string
}

func newBuild(streams Streams) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build [-o file] [--tags list] ./pkg:App [-- go build flags]",
		Short: "Build the program that `kafkaesk ./pkg:App` runs, for a machine without Go",
		Long: "build makes a program of an application, as `kafkaesk ./pkg:App` does to run it, and keeps it. Nothing else " +
			"is written into your tree.\nWhat stands behind -- goes to go build; GOOS and GOARCH of the environment count as " +
			"they do there.",
		Example: "  kafkaesk build ./orders:App -o worker\n  CGO_ENABLED=0 GOOS=linux kafkaesk build " +
			"./orders:App -o worker -- -trimpath -ldflags=-s",
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completeTarget,
		Args: cli.AsUsage(func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash == 1 || dash < 0 && len(args) == 1 {
				return nil
			}
			return errors.New("give one target, like ./pkg:App, before --")
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args[0], args[1:], streams)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "", "the `file` to write (default: the package's name, in this directory)")
	addTags(flags, &o.tags)
	return cmd
}

// run builds the target. The flags are passed to go build.
func (o *buildOptions) run(ctx context.Context, arg string, flags []string, streams Streams) (err error) {
	t, err := parseTarget(arg)
	if err != nil {
		return cli.UsageError(err)
	}
	g, err := newGoCommand(t.dir, append(tagFlags(o.tags), flags...), streams.Err)
	if err != nil {
		return err
	}
	defer g.announce(arg)()
	scratch, err := os.MkdirTemp("", "kafkaesk-build-")
	if err != nil {
		return fmt.Errorf("preparing the build: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := g.keepTree(ctx, scratch); err != nil {
		return err
	}
	p, err := resolve(ctx, t, g)
	if err != nil {
		return err
	}
	output, err := o.file(p.name())
	if err != nil {
		return err
	}
	return p.build(ctx, g, scratch, output)
}

// file returns the absolute name of the output file: the go command runs in another directory.
func (o *buildOptions) file(name string) (string, error) {
	output := o.output
	if output == "" {
		output = executable(name)
	}
	if isDir(output) {
		return "", cli.UsageError(fmt.Errorf("%s is a directory: name the program's file by -o", output))
	}
	return filepath.Abs(output)
}

// executable returns the file name of a program on the target system.
func executable(name string) string {
	system := os.Getenv("GOOS")
	if system == "" {
		system = runtime.GOOS
	}
	if system == "windows" {
		return name + ".exe"
	}
	return name
}
