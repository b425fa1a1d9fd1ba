//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// become replaces this process by the program: its signals and its exit code need nobody to pass them on. The lock
// on its cache entry goes when it begins, and not before, so that nobody else writes the file meanwhile.
func become(file string, argv []string) error {
	return fmt.Errorf("starting %s: %w", file, syscall.Exec(file, argv, os.Environ()))
}
