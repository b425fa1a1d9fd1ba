package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/contract"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/operate"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// Streams are the program's input and output.
type Streams = cli.Streams

// Run runs the program with its arguments, without the program's name, until it is done or ctx ends, and returns the
// exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	root := newRoot(streams)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if cliflags.ReaderGone(err) { // the reader of the output has ended, as head does
		return cli.OK
	}
	code, err := cli.Code(err)
	if err != nil {
		complain(streams, err)
	}
	if code == cli.Usage && err != nil {
		fmt.Fprintf(streams.Err, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

// complain writes an error to standard error. Its text may come from a broker, so control characters are escaped,
// except tabs: some errors show the content of a file.
func complain(streams Streams, err error) {
	escaped := logtext.Writer{W: streams.Err}
	for n, text := range strings.Split(fmt.Sprintf("kafkaesk: %v\n", err), "\t") {
		if n > 0 {
			fmt.Fprint(streams.Err, "\t")
		}
		fmt.Fprint(escaped, text)
	}
}

func newRoot(streams Streams) *cobra.Command {
	var tags string
	root := &cobra.Command{
		Use:   "kafkaesk [--tags list] ./pkg:App [worker flags]",
		Short: "Run and develop applications on the kafkaesk bus",
		Long: "kafkaesk runs applications on the kafkaesk bus, and helps to develop them.\n\n" +
			"    kafkaesk ./pkg:App --kafka-servers=localhost:9092\n\n" +
			"builds a worker of the App that the package in ./pkg exports, and runs it. The target is a directory or an " +
			"import path, and an exported\n*bus.App, func() *bus.App, func() (*bus.App, error), or *bus.Router. Without a " +
			"name it is App. A package main is run as it is.\nEverything after the target is passed to the worker: " +
			"kafkaesk ./pkg:App --help lists its flags, environment variables and\nexit codes. Nothing is written into your " +
			"tree.\n\nThis needs Go, so it is for development. A production image gets a program whose main calls " +
			"worker.Main(app), of the package\ngithub.com/kafkaesk/kafkaesk/bus/worker, or the one that kafkaesk build " +
			"makes.\n\nExit codes: 0 done, 1 failed, 2 the command line is wrong, 3 no broker could be reached; those of a " +
			"worker are its own.",
		DisableFlagsInUseLine:      true,
		SilenceErrors:              true, // Run prints them, once
		SilenceUsage:               true,
		ValidArgsFunction:          completeTarget,
		SuggestionsMinimumDistance: 2,
		Args: cli.AsUsage(func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || looksLikeTarget(args[0]) {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return fmt.Errorf("unknown command %q: is it %s?", args[0], strings.Join(near, " or "))
			}
			return fmt.Errorf("unknown command %q; a directory with an app begins with ./", args[0])
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return launch(cmd.Context(), args[0], args[1:], tagFlags(tags), streams)
		},
	}
	root.Version = buildinfo.Line("kafkaesk")
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.UsageError(err) })
	addTags(root.Flags(), &tags)
	root.Flags().SetInterspersed(false) // everything behind the target belongs to the worker
	root.AddCommand(newBuild(streams), newBroker(streams), newDemo(streams), newACLs(streams), newVersion(streams),
		newCoverTool())
	root.AddCommand(operate.Commands(streams)...)
	root.AddCommand(contract.Commands(streams, contract.Apps{
		Complete: completeTarget,
		Describe: func(ctx context.Context, target, tags string) (*appinfo.App, error) {
			return describeApp(ctx, target, tags, streams)
		},
	})...)
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

// completeTarget completes directories for a target, unless the text may become a command.
func completeTarget(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || !looksLikeTarget(toComplete) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveFilterDirs | cobra.ShellCompDirectiveNoSpace
}
