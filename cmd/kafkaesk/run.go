package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
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

// Run runs the program with its arguments, without the program's name, until it is done or ctx ends, and returns its exit
// code.
func Run(ctx context.Context, args []string, streams Streams) int {
	root := newRoot(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(streams.Err, "kafkaesk: %v\nTry 'kafkaesk --help'.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(streams.Err, "kafkaesk: %v\n", err)
		return exitFailed
	}
}

func newRoot(streams Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "kafkaesk",
		Short: "Develop with kafkaesk",
		Long: "kafkaesk helps to develop applications on the kafkaesk bus.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 the command line is wrong.",
		SilenceErrors: true, // Run prints them, once
		SilenceUsage:  true,
		Args: asUsage(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newBroker(streams), newVersion(streams))
	return root
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
