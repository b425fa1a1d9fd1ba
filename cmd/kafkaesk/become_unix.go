//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// become replaces this process by the program, which then receives the signals and sets the exit code itself. The
// lock on the cache entry is released by exec, so that no other kafkaesk writes the file before.
func become(file string, argv []string) error {
	return fmt.Errorf("starting %s: %w", file, syscall.Exec(file, argv, os.Environ()))
}
