//go:build !unix

package worker

import "os"

// notifyDebug does nothing: the system has no SIGUSR1.
func notifyDebug(chan<- os.Signal) {}
