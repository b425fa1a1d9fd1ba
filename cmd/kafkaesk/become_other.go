//go:build !unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// become runs the program and waits for it. Ctrl-C reaches the program through the console that both share; this
// process only waits for its exit.
func become(file string, argv []string) error {
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(file)
	cmd.Args, cmd.Stdin, cmd.Stdout, cmd.Stderr = argv, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return cli.Exit(exit.ExitCode())
	case err != nil:
		return fmt.Errorf("starting %s: %w", file, err)
	}
	return nil
}
