package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// hanging is a listener that takes connections and never answers, as a broker that is stopped does.
func hanging(t *testing.T) (address string, taken *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			wg.Go(func() {
				_, _ = c.Read(make([]byte, 1<<16))
				_, _ = c.Read(make([]byte, 1)) // until the other side closes it
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String(), taken
}

func TestABrokerThatHangsCostsAStartAMoment(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	hung, _ := hanging(t)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			client, err := NewClient([]string{hung, "127.0.0.1:1", cluster.ListenAddrs()[0]}, quick(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), dialTimeout-time.Second) // less than the hung one was waited for
			defer cancel()
			if err := client.CheckVersions(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Each candidate is asked once, and those that have failed come last the next time.
func TestEachServerIsAskedBeforeAnyIsAskedAgain(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	good := cluster.ListenAddrs()[0]
	first, taken := hanging(t)
	second, takenToo := hanging(t)
	d := newDialer([]string{first, second, "127.0.0.1:1", good}, nil)
	t.Cleanup(d.close)
	if _, err := d.connect(t.Context(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("error %v", err)
	}
	r := newRace(t.Context(), d, []string{first, second, "127.0.0.1:1", good})
	request := []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff} // ApiVersions
	if _, err := r.Write(request); err != nil {
		t.Fatal(err)
	}
	if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	if n, err := r.Read(b); err != nil || n != 8 || b[7] != 1 {
		t.Fatalf("read %v, %v", b[:n], err)
	}
	if got := r.RemoteAddr().String(); got != good {
		t.Errorf("the winner is %s, want %s", got, good)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if taken.Load() != 1 || takenToo.Load() != 1 {
		t.Errorf("%d and %d connections to brokers that hang, want one each", taken.Load(), takenToo.Load())
	}
	if got := d.candidates(bootstrap{}.String()); got[0] != good {
		t.Errorf("candidates %q: the one that answers comes first", got)
	}
	// 127.0.0.1:1 is asked after the two that hang, so its error is the last.
	if e := d.lastError(); e == nil || e.Address != "127.0.0.1:1" || e.Advertised {
		t.Errorf("last error %v", e)
	}
	d.learn(nil)
	if e := d.lastError(); e == nil {
		t.Error("the error of a configured server is forgotten")
	}
}

func TestARaceWithoutAWinnerTellsOfAll(t *testing.T) {
	t.Parallel()
	hung, _ := hanging(t)
	d := newDialer([]string{hung, "127.0.0.1:1"}, nil)
	r := newRace(t.Context(), d, []string{hung, "127.0.0.1:1"})
	if err := r.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Read(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), hung) {
		t.Errorf("error %v, want it to name %s", err, hung)
	}

	// Close ends a race from another goroutine.
	r = newRace(t.Context(), d, []string{hung, "127.0.0.1:1"})
	if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		ended <- err
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a race that was closed has a winner")
	}
}

// An address that brokers advertise and nobody listens on: errors name it, and say that it is advertised, until it
// answers.
func TestErrorsSayThatAnAddressIsAdvertised(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	server := cluster.ListenAddrs()[0]
	var wrong atomic.Bool
	wrong.Store(true)
	cluster.ControlKey(kmsg.Metadata.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !wrong.Load() {
			return nil, nil, false
		}
		r := request.ResponseKind().(*kmsg.MetadataResponse)
		b := kmsg.NewMetadataResponseBroker()
		b.Host, b.Port = "localhost", 1
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("t")
		p := kmsg.NewMetadataResponseTopicPartition()
		topic.Partitions = append(topic.Partitions, p)
		r.Brokers, r.Topics = append(r.Brokers, b), append(r.Topics, topic)
		return r, nil, true
	})
	client := connect(t, quick(), server)
	if err := client.LastConnError(); err != nil {
		t.Errorf("before any request: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := client.ListOffsets(ctx, []TopicPartition{{Topic: "t"}}, EndOffset)
	for _, text := range []string{"localhost:1", "connection refused", "the brokers advertise it",
		"advertised.listeners"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want it to have %q", err, text)
		}
	}
	// The end of a context may have cut off a request on the connection that works, which is then the last error.
	testkit.Until(t, "the last connection error is that of the advertised address", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, _ = client.ListOffsets(ctx, []TopicPartition{{Topic: "t"}}, EndOffset)
		e, ok := errors.AsType[*ConnError](client.LastConnError())
		return ok && e.Address == "localhost:1" && e.Advertised
	})
	wrong.Store(false)
	testkit.Until(t, "the error is forgotten", func() bool {
		_, err := client.AllTopics(t.Context())
		return err == nil && client.LastConnError() == nil
	})
}

func TestAnErrorNamesTheServersThatHaveNotAnswered(t *testing.T) {
	t.Parallel()
	hung, _ := hanging(t)
	client := connect(t, quick(), hung)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := client.CheckVersions(ctx); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), hung) {
		t.Errorf("error %v, want it to name %s", err, hung)
	}
}

// What hangs is named, too: the connection's deadline is that of the request.
func TestATimeoutNamesTheAddress(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	client := connect(t, quick(), cluster.ListenAddrs()...)
	if err := client.CheckVersions(t.Context()); err != nil {
		t.Fatal(err)
	}
	silence(cluster, kmsg.DescribeConfigs.Int16())
	request := &describeTopic{clientID: "test"}
	if _, err := client.RoundTrip(t.Context(), request, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	testkit.Until(t, "the address is known", func() bool { return client.LastConnError() != nil })
	if err := client.LastConnError().Error(); !strings.Contains(err, cluster.ListenAddrs()[0]) {
		t.Errorf("error %q, want it to name %q", err, cluster.ListenAddrs()[0])
	}
	silence(cluster, kmsg.ApiVersions.Int16()) // on a new connection, too
	_, err := client.RoundTrip(t.Context(), request, 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), cluster.ListenAddrs()[0]) {
		t.Errorf("error %v, want it to name %q", err, cluster.ListenAddrs()[0])
	}
}
