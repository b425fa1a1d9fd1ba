//go:build unix

package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watchReader calls gone when nobody reads the pipe w any more, which a write would notice, but only when there is
// something to write. The function that it returns ends that, and waits for it.
func watchReader(w io.Writer, gone func()) (stop func()) {
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
				gone()
				return
			}
		}
	})
	return func() {
		_ = end.Close()
		watch.Wait()
	}
}
