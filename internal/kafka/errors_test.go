package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want Class
	}{
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, Transient},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, Transient},
		{"no such host", &net.DNSError{Err: "no such host", IsNotFound: true}, Transient},
		{"EOF", io.EOF, Transient},
		{"unexpected EOF", fmt.Errorf("x: %w", io.ErrUnexpectedEOF), Transient},
		{"deadline of one attempt", os.ErrDeadlineExceeded, Transient},
		{"deadline of a context", context.DeadlineExceeded, Transient},
		{"panic of kafka-go", errors.New("kafka-go panicked"), Transient},
		{"cancelled", context.Canceled, Permanent},
		{"closed", fmt.Errorf("x: %w", ErrClosed), Permanent},
		{"too old", fmt.Errorf("x: %w", ErrTooOld), Permanent},
		{"auth", fmt.Errorf("x: %w", ErrAuth), Denied},
		{"too large", fmt.Errorf("x: %w", ErrTooLarge), BadRecord},
		{"no topic on the client", protocol.NewErrNoTopic("t"), TopicMissing},
		{"no partition on the client", protocol.NewErrNoPartition("t", 1), TopicMissing},
		{"no leader on the client", protocol.NewErrNoLeader("t", 1), Moved},
		{"no leader, wrapped by a request", rawproduce.NewError(protocol.NewErrNoLeader("t", 1)), Moved},
		{"no broker is known", fmt.Errorf("x: %w", wire.ErrNoBrokers), Moved},
		{"leaders differ", rawproduce.NewError(errors.New("mismatching leaders (1!=2)")), Moved},
		{"a code behind text", fmt.Errorf("x: %w: y", CodeErr(6)), Moved},
		{"a code of tomorrow", CodeErr(999), Permanent},
		{"joined", errors.Join(errors.New("x"), CodeErr(29)), Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Classify(test.err); got != test.want {
				t.Errorf("Classify(%v) = %s, want %s", test.err, got, test.want)
			}
		})
	}
}

// Every code of Kafka's table has a class that was chosen, and what the wire facts say about each holds.
func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	want := map[Class][]int16{
		Transient:    {-1, 2, 7, 9, 13, 14, 15, 16, 19, 20, 51, 60, 70, 71, 78, 88, 89},
		TopicMissing: {3, 100, 103},
		Moved:        {5, 6, 8, 11, 41, 56, 72, 74, 75, 80, 83},
		BadRecord:    {10, 18, 32, 43, 44, 87},
		Denied:       {29, 30, 31, 33, 34, 53, 54, 55, 58, 65, 66},
		Sequence:     {45, 46, 47, 49, 59, 90},
	}
	for code := int16(-1); code <= 130; code++ {
		if code == 0 {
			continue
		}
		expected := Permanent
		for class, codes := range want {
			if slices.Contains(codes, code) {
				expected = class
			}
		}
		err := CodeErr(code)
		if got := Classify(err); got != expected {
			t.Errorf("code %d is %s, want %s", code, got, expected)
		}
		if !errors.Is(err, CodeError(code)) {
			t.Errorf("code %d is lost in %v", code, err)
		}
		if got := errors.Is(err, ErrAuth); got != (expected == Denied) {
			t.Errorf("code %d is ErrAuth: %t", code, got)
		}
		if got := errors.Is(err, ErrTooLarge); got != (code == 10 || code == 18) {
			t.Errorf("code %d is ErrTooLarge: %t", code, got)
		}
		retriable := expected == Transient || expected == TopicMissing || expected == Moved
		if expected.Retriable() != retriable || expected.String() == "" {
			t.Errorf("class %s is retriable: %t", expected, !retriable)
		}
	}
	if CodeErr(0) != nil {
		t.Error("code 0 is an error")
	}
}

func TestErrorsOfTLSAndOfLostConnectionsAreKnown(t *testing.T) {
	t.Parallel()
	for _, err := range []error{x509.UnknownAuthorityError{}, x509.HostnameError{}, x509.CertificateInvalidError{},
		&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}} {
		if !isTLS(fmt.Errorf("x: %w", err)) || isLost(err) {
			t.Errorf("%T is not TLS", err)
		}
	}
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET,
		syscall.ECONNABORTED} {
		if !isLost(fmt.Errorf("x: %w", err)) || isTLS(err) {
			t.Errorf("%v is not a lost connection", err)
		}
	}
	if err := error(syscall.ECONNREFUSED); isLost(err) || isTLS(err) {
		t.Error("a refused connection was never one")
	}
}
