package cliflags

import (
	"errors"
	"net"
	"syscall"
)

// ReaderGone reports whether err is the end of the program that reads the output, as of head in `logtail | head -1`. A
// connection to a broker that breaks while it is written to gives the same errno and is a failure.
func ReaderGone(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return errors.Is(err, syscall.EPIPE) && !network
}
