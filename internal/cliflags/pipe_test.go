package cliflags_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// TestABrokenConnectionIsNoReaderThatIsGone is why a probe such as kafkaesk lag does not exit with 0 when the
// connection to its broker breaks.
func TestABrokenConnectionIsNoReaderThatIsGone(t *testing.T) {
	t.Parallel()
	connection := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"another", errors.New("broken pipe"), false},
		{"standard output", fmt.Errorf("writing the table: %w",
			&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}), true},
		{"a connection", fmt.Errorf("kafka: localhost:9092: %w", connection), false},
	}
	for _, test := range tests {
		if got := cliflags.ReaderGone(test.err); got != test.want {
			t.Errorf("%s: ReaderGone(%v) = %t, want %t", test.name, test.err, got, test.want)
		}
	}
}
