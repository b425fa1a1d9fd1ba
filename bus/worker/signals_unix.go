//go:build unix

package worker

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyDebug delivers SIGUSR1 to c.
func notifyDebug(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }
