package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Streams are where the program reads and writes. Out gets data only, Err everything else.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exit codes.
const (
	exitOK     = 0 // done, or ended by a signal as asked
	exitFailed = 1
	exitUsage  = 2 // the command line was wrong; nothing was done
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitError is the exit code of a program that was run here and has said itself what there was to say.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run runs the program with its arguments, without the program's name, until it is done or ctx ends, and returns its exit
// code.
func Run(ctx context.Context, args []string, streams Streams) int {
	root := newRoot(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(streams.Err, "kafkaesk: %v\nTry 'kafkaesk --help'.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(streams.Err, "kafkaesk: %v\n", err)
		return exitFailed
	}
}

func newRoot(streams Streams) *cobra.Command {
	var tags string
	root := &cobra.Command{
		Use:   "kafkaesk [--tags list] ./pkg:App [worker flags]",
		Short: "Run and develop applications on the kafkaesk bus",
		Long: "kafkaesk runs applications on the kafkaesk bus, and helps to develop them.\n\n" +
			"    kafkaesk ./pkg:App --kafka-servers=localhost:9092\n\n" +
			"builds a worker of the App that the package in ./pkg exports, and runs it. The target is a directory or an import path, and an exported\n" +
			"*bus.App, func() *bus.App, func() (*bus.App, error), or *bus.Router. Without a name it is App. A package main is run as it is. All that\n" +
			"stands behind the target belongs to the worker: kafkaesk ./pkg:App --help tells its flags, environment variables and exit codes.\n" +
			"Nothing is written into your tree.\n\n" +
			"This needs Go, so it is for development. A production image gets a program whose main calls worker.Main(app), of the package\n" +
			"github.com/kafkaesk/kafkaesk/bus/worker, or the one that kafkaesk build makes.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 the command line is wrong; those of a worker are its own.",
		DisableFlagsInUseLine: true,
		SilenceErrors:         true, // Run prints them, once
		SilenceUsage:          true,
		ValidArgsFunction:     completeTarget,
		Args: asUsage(func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !looksLikeTarget(args[0]) {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return launch(cmd.Context(), args[0], args[1:], tagFlags(tags), streams)
		},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	addTags(root.Flags(), &tags)
	root.Flags().SetInterspersed(false) // what stands behind the target is the worker's
	root.AddCommand(newBuild(streams), newBroker(streams), newVersion(streams), newCoverTool(), newAsyncAPI(streams))
	return root
}

func addTags(flags *pflag.FlagSet, tags *string) {
	flags.StringVar(tags, "tags", "", "build tags, a `list` separated by commas, as for go build")
}

// tagFlags returns the tags as flags of the go command.
func tagFlags(tags string) []string {
	if tags == "" {
		return nil
	}
	return []string{"-tags=" + tags}
}

// completeTarget has a shell complete directories where a target is due. It leaves alone what may yet become a command.
func completeTarget(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || !looksLikeTarget(toComplete) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveFilterDirs | cobra.ShellCompDirectiveNoSpace
}

// asUsage makes an argument check's error a usage error.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
