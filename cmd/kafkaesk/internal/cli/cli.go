// Package cli contains what the commands of kafkaesk share: exit codes, the connection flags, the output of tables
// and JSON, and shell completion.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// Streams are the program's input and output. Out receives only data, Err everything else.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv returns an environment variable. Defaults to that of the process.
	Getenv func(string) string
}

// Variable returns an environment variable.
func (s Streams) Variable(name string) string {
	if s.Getenv == nil {
		return os.Getenv(name)
	}
	return s.Getenv(name)
}

// Exit codes.
const (
	OK          = 0 // success, or ended by a signal as intended
	Failed      = 1
	Usage       = 2 // wrong command line; nothing was done
	Unreachable = 3 // no broker could be reached
	Incomplete  = 4 // of what a command reads, a part could not be read
)

// ExitError is an error with an exit code. Without Err the message has been printed already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// UsageError marks an error as one of the command line.
func UsageError(err error) error { return &ExitError{Usage, err} }

// UsageErrorf formats an error of the command line.
func UsageErrorf(format string, args ...any) error { return UsageError(fmt.Errorf(format, args...)) }

// Exit ends the program with a code and without a message.
func Exit(code int) error { return &ExitError{Code: code} }

// Code returns the exit code for err, and the error to print; nil for none.
func Code(err error) (int, error) {
	if err == nil {
		return OK, nil
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		if e.Err == nil {
			return e.Code, nil
		}
		return e.Code, err
	}
	return Failed, err
}

// AsUsage marks the error of an argument check as one of the command line.
func AsUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return UsageError(err)
		}
		return nil
	}
}

// Exactly wants n arguments, and otherwise says how the command is called.
func Exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return UsageErrorf("%d instead of %d arguments: want %s", len(args), n, cmd.UseLine())
		}
		return nil
	}
}

// helpWidth is the maximum width of a help text in columns.
const helpWidth = 100

// Wrap breaks the paragraphs of a help text into lines.
func Wrap(text string) string { return cliflags.Wrap(text, helpWidth) }
