//go:build !linux

package apache

import "syscall"

// processAttributes is for Linux only: elsewhere a test binary that is killed leaves its Kafka running.
func processAttributes() *syscall.SysProcAttr { return nil }
