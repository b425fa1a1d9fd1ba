package kafka

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// canary is a secret that must never be printed.
const canary = "canary-5f1d7c"

// fake starts a broker for one test.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatalf("starting kfake: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// quick are settings for tests: short pauses, and metadata that is never old.
func quick() Settings {
	s := DefaultSettings()
	s.RequestTimeout = 5 * time.Second
	s.RetryBackoff = 10 * time.Millisecond
	return s
}

// connect makes a client and closes it with the test. The test fails if it leaves a goroutine.
func connect(t *testing.T, s Settings, servers ...string) *Client {
	t.Helper()
	client, _ := connectLogged(t, s, servers...)
	return client
}

func connectLogged(t *testing.T, s Settings, servers ...string) (*Client, *buffer) {
	t.Helper()
	log := new(buffer)
	client, err := NewClient(servers, s, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(client.Close)
	return client, log
}

// buffer collects a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// requests counts the requests of one kind.
func requests(cluster *kfake.Cluster, key kmsg.Key) *atomic.Int64 {
	n := new(atomic.Int64)
	cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return n
}

func TestMain(m *testing.M) { kafkatest.Main(m) }
