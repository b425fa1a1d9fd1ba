//go:build !unix

package worker

import "os"

// notifyDebug does nothing: there is no SIGUSR1.
func notifyDebug(chan<- os.Signal) {}
