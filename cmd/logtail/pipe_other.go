//go:build !unix

package main

import "io"

// watchReader does nothing on this system: only a write detects a closed pipe.
func watchReader(io.Writer, func()) (stop func()) { return func() {} }
