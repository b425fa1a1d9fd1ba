package devkafka_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/devkafka"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// start runs a broker until the test ends.
func start(t *testing.T, o devkafka.Options) *devkafka.Broker {
	t.Helper()
	b, err := devkafka.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func client(t *testing.T, b *devkafka.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Addrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produce publishes n records and waits until all are acknowledged.
func produce(t *testing.T, b *devkafka.Broker, topic string, n int) {
	t.Helper()
	c := client(t, b, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic))
	defer c.Close()
	for i := range n {
		c.Produce(t.Context(), kgo.StringRecord(fmt.Sprintf("record %d", i)), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// consume reads n records from the topic's start and fails if one comes twice.
func consume(t *testing.T, b *devkafka.Broker, topic string, n int) {
	t.Helper()
	c := client(t, b, kgo.ConsumeTopics(topic))
	defer c.Close()
	seen := make(map[string]bool)
	for len(seen) < n {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(seen), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if seen[string(r.Value)] {
				t.Errorf("%s came twice", r.Value)
			}
			seen[string(r.Value)] = true
		})
	}
}

func TestFiftyThousandRecordsPassTheGuard(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	produce(t, b, "many", 50_000)
	consume(t, b, "many", 50_000)
}

func TestDataDirectoryIsReopened(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "dir")
	for round := range 3 {
		b := start(t, devkafka.Options{DataDir: dir})
		if round == 0 {
			produce(t, b, "kept", 1000)
		}
		consume(t, b, "kept", 1000)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDataDirectoryHasOneBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := start(t, devkafka.Options{DataDir: dir})
	_, err := devkafka.Start(devkafka.Options{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "another broker") {
		t.Fatalf("a second broker on %s: error = %v, want one that names the other broker", dir, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, devkafka.Options{DataDir: dir})
}

// It sets TMPDIR, so it does not run beside others.
func TestTemporaryDataDirectoryIsRemoved(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	entries := func() int {
		t.Helper()
		list, err := os.ReadDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	b := start(t, devkafka.Options{})
	produce(t, b, "gone", 10)
	if n := entries(); n != 1 {
		t.Fatalf("%d entries in the temporary directory while the broker runs, want 1", n)
	}
	for range 2 { // Close may be called again
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := devkafka.Start(devkafka.Options{Addr: b.Addrs()[0], Brokers: 70_000}); err == nil {
		t.Fatal("more brokers than ports have started")
	}
	if n := entries(); n != 0 {
		t.Fatalf("%d entries left in the temporary directory, want none", n)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options devkafka.Options
		want    string // part of the error; "" = it starts
	}{
		{name: "default"},
		{name: "loopback name", options: devkafka.Options{Addr: "localhost:0"}},
		{name: "another loopback address", options: devkafka.Options{Addr: "127.0.0.2:0"}},
		{name: "remote", options: devkafka.Options{Addr: "192.0.2.1:9092"}, want: "not on loopback"},
		{name: "all interfaces", options: devkafka.Options{Addr: "0.0.0.0:0", AllowRemote: true},
			want: "cannot be advertised to clients"},
		{name: "no host", options: devkafka.Options{Addr: ":9092"}, want: "cannot be advertised to clients"},
		{name: "no port", options: devkafka.Options{Addr: "127.0.0.1"}, want: "want host:port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := devkafka.Start(tt.options)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error = %v, want %q in it", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	_, err := devkafka.Start(devkafka.Options{Addr: b.Addrs()[0]})
	if err == nil || !strings.Contains(err.Error(), b.Addrs()[0]) {
		t.Fatalf("error = %v, want one that names %s", err, b.Addrs()[0])
	}
}

func TestSeveralBrokersTakeConsecutivePorts(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := devkafka.Start(devkafka.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), Brokers: 3})
	if err != nil {
		t.Logf("the ports after %d are taken: %v", port, err)
		return
	}
	t.Cleanup(func() { _ = b.Close() })
	want := []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1),
		fmt.Sprintf("127.0.0.1:%d", port+2)}
	if !slices.Equal(b.Addrs(), want) {
		t.Fatalf("Addrs() = %v, want %v", b.Addrs(), want)
	}
	if err := client(t, b).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTopicsThatAreNotThere(t *testing.T) {
	t.Parallel()
	t.Run("created with the default partitions", func(t *testing.T) {
		t.Parallel()
		b := start(t, devkafka.Options{Partitions: 3})
		produce(t, b, "new", 1)
		if got := len(b.Cluster().PartitionInfos("new")); got != 3 {
			t.Fatalf("%d partitions, want 3", got)
		}
	})
	t.Run("refused with NoAutoCreate", func(t *testing.T) {
		t.Parallel()
		b := start(t, devkafka.Options{NoAutoCreate: true})
		c := client(t, b, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
		err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "new", Value: []byte("v")}).FirstErr()
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatalf("error = %v, want unknown topic", err)
		}
	})
}
