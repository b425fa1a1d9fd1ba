//go:build unix

package worker

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyDebug has SIGUSR1 sent to c.
func notifyDebug(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }
