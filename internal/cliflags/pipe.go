package cliflags

import (
	"errors"
	"net"
	"syscall"
)

// ReaderGone reports whether err means that the program that reads the output has ended, as head does in `logtail |
// head -1`. The same errno from a connection to a broker is a failure.
func ReaderGone(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return errors.Is(err, syscall.EPIPE) && !network
}
