// Package cli is what the commands of kafkaesk share: exit codes, how they find their Kafka, how they print tables and
// JSON, what a shell completes.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// Streams are what the program shares with the world. Out gets data only, Err everything else.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv reads the environment. Defaults to that of the process.
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
	OK          = 0 // done, or ended by a signal as asked
	Failed      = 1
	Usage       = 2 // the command line was wrong; nothing was done
	Unreachable = 3 // no broker could be reached
	Incomplete  = 4 // of what a command reads, a part could not be read
)

// ExitError is an error with an exit code of its own. Without Err, what there was to say has been said.
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

// UsageError makes an error one in the command line.
func UsageError(err error) error { return &ExitError{Usage, err} }

// UsageErrorf is an error in the command line.
func UsageErrorf(format string, args ...any) error { return UsageError(fmt.Errorf(format, args...)) }

// Exit ends the program with a code, without a further word.
func Exit(code int) error { return &ExitError{Code: code} }

// Code returns the exit code that err means, and what is to be said; nil for nothing.
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

// AsUsage makes an argument check's error one in the command line.
func AsUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return UsageError(err)
		}
		return nil
	}
}

// helpWidth is how many columns the text of a command's help takes at most.
const helpWidth = 100

// Wrap breaks the paragraphs of a help text into lines.
func Wrap(text string) string { return cliflags.Wrap(text, helpWidth) }
