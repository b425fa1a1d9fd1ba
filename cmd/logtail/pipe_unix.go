//go:build unix

package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watchReader calls closed when the reader of the pipe w has closed it. A write would detect that too, but only when
// there is something to write. The returned function stops the watch and waits for it.
func watchReader(w io.Writer, closed func()) (stop func()) {
	f, ok := w.(*os.File)
	if !ok || !isPipe(f) {
		return func() {}
	}
	ended, end, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		defer ended.Close()
		for {
			fds := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(ended.Fd()), Events: unix.POLLIN}}
			_, err := unix.Poll(fds, -1)
			switch {
			case err == unix.EINTR:
				continue
			case err != nil || fds[1].Revents != 0:
				return
			case fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
				closed()
				return
			}
		}
	})
	return func() {
		_ = end.Close()
		watch.Wait()
	}
}
