package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes.
const (
	exitOK          = 0 // all is printed, or a follow was interrupted
	exitFailed      = 1 // an error while running
	exitUsage       = 2 // a wrong command line
	exitUnreachable = 3 // no broker answered at the start
)

// streams are what the program shares with the world.
type streams struct {
	out, err io.Writer
	getenv   func(string) string
}

// isTerminal tells whether w is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// exitError is an error that has its own exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// Run runs logtail with args, which do not include the program's name, until it is done or ctx ends, and returns the exit code.
func Run(ctx context.Context, args []string, s streams) int {
	return newOptions(s).main(ctx, args)
}

func (o *options) main(ctx context.Context, args []string) int {
	stderr := escapingWriter{o.err}
	cmd := newCommand(o)
	cmd.SetArgs(args)
	cmd.SetOut(o.out)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil || errors.Is(err, syscall.EPIPE) { // the reader has seen enough
		return exitOK
	}
	code := exitUsage // what cobra says by itself is about the command line
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
	}
	_, _ = fmt.Fprintf(stderr, "logtail: %v\n", err)
	if code == exitUsage {
		_, _ = fmt.Fprintln(stderr, "Run 'logtail --help' for usage.")
	}
	return code
}

const example = `  logtail -b localhost:9092 'logs.*'                    the last 10 records, then what comes
  logtail -l warning --since 2h 'logs.*' 'audit.*'      two hours of warnings and worse, then what comes
  logtail --from start --no-follow 'logs.*' | jq .      everything there is, as JSON lines`

const long = `Logtail prints the log records of the Kafka streams that match a PATTERN, and follows them.

A pattern is that of a shell: * stands for any text, dots included; quote it. Streams that appear later are followed too. A
pattern that matches nothing yet waits. Logtail joins no consumer group and commits nothing.

Records of one partition come in their order; between partitions there is no order, except among those of --lines.`

const exits = `
Exit codes:
  0  all is printed, or a follow was interrupted
  1  an error while running
  2  a wrong command line
  3  no broker could be reached at the start, within 10 seconds; one that is lost later is waited for
A second interrupt ends the program at once.
`

// newCommand returns the command line over o.
func newCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "logtail [flags] PATTERN...",
		Short:         "Print and follow the log records of Kafka streams",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd.Flags(), args); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd.Flags())
	cmd.SetUsageTemplate(cmd.UsageTemplate() + exits)
	return cmd
}
