package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// The exit codes.
const (
	exitOK          = 0 // everything is printed, or following was interrupted
	exitFailed      = 1 // an error: records may be missing
	exitUsage       = 2 // a wrong command line
	exitUnreachable = 3 // no broker answered at the start
)

// streams are the program's input and output.
type streams struct {
	out, err io.Writer
	getenv   func(string) string
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// exitError is an error with its own exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func failure(err error) error { return &exitError{exitFailed, err} }

// Run runs logtail with args, without the program's name, until it is done or ctx ends, and returns the exit code.
func Run(ctx context.Context, args []string, s streams) int { return newOptions(s).main(ctx, args) }

func (o *options) main(ctx context.Context, args []string) int {
	stderr := logtext.Writer{W: o.err}
	cmd := newCommand(o)
	cmd.SetArgs(args)
	cmd.SetOut(o.out)
	cmd.SetErr(stderr)
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil || cliflags.ReaderGone(err) { // the reader has ended, as head does
		return exitOK
	}
	code := exitUsage // errors of cobra itself are about the command line
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
	}
	_, _ = fmt.Fprintf(stderr, "logtail: %v\n", err)
	if code == exitUsage {
		_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", ran.CommandPath())
	}
	return code
}

// notice prints a message that is neither a record nor an error.
func (o *options) notice(format string, args ...any) {
	if !o.quiet {
		_, _ = fmt.Fprintf(logtext.Writer{W: o.err}, "logtail: "+format+"\n", args...)
	}
}
