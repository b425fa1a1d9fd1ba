package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

const partitions = 21

func TestMain(m *testing.M) { kafkatest.Main(m) }

// Event is what a service publishes: about 200 bytes as JSON, with constraints on four of its fields.
type Event struct {
	ID       string   `json:"id" jsonschema:"minLength=8,maxLength=64"`
	User     string   `json:"user" jsonschema:"minLength=1,maxLength=100"`
	Action   string   `json:"action" jsonschema:"enum=create,enum=edit,enum=delete"`
	Path     string   `json:"path"`
	Size     int      `json:"size" jsonschema:"minimum=0"`
	Duration float64  `json:"duration"`
	Tags     []string `json:"tags"`
	OK       bool     `json:"ok"`
}

func event(i int) *Event {
	return &Event{
		ID: fmt.Sprintf("event-%012d", i), User: "ada.lovelace@example.com", Action: "edit",
		Path: "/content/articles/2026/11/analytical-engine", Size: 1843 + i%100, Duration: 0.0375,
		Tags: []string{"web", "article", "draft"}, OK: true,
	}
}

// events are made before the clock starts; a benchmark cycles through them.
func events() []*Event {
	list := make([]*Event, 10_000)
	for i := range list {
		list[i] = event(i)
	}
	return list
}

// topic creates a topic of 21 partitions.
func topic(b *testing.B, servers []string, name string) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(b.Context(), partitions, 1, nil, name); err != nil {
		b.Fatal(err)
	}
}

// rounds is how often the peers take turns: the machine's speed drifts, so what is compared lies side by side. In every
// other round the last one begins, because a broker gets faster while it runs.
const rounds = 4

type peer struct {
	name string
	run  func(*testing.B)
}

func inTurns(b *testing.B, peers ...peer) {
	for round := range rounds {
		if round > 0 {
			slices.Reverse(peers)
		}
		for _, p := range peers {
			b.Run(fmt.Sprintf("round=%d/%s", round+1, p.name), p.run)
		}
	}
}

// BenchmarkPublish publishes typed values and waits until the broker has them all (acks=all, no compression). Ours
// validates each value and writes the envelope and the kafkaesk-id header; the peer sends json.Marshal's bytes.
func BenchmarkPublish(b *testing.B) {
	cluster := kafkatest.Start(b)
	list := events()
	sample, err := json.Marshal(list[0])
	if err != nil {
		b.Fatal(err)
	}
	warm := cluster.Prefix(b) + "warm"
	topic(b, cluster.Servers(), warm)
	fill(b, cluster.Servers(), warm, stored, letters()) // the broker's code is compiled by use
	inTurns(b,
		peer{"kafkaesk", func(b *testing.B) { publish(b, cluster.Servers(), cluster.Prefix(b), list, sample) }},
		peer{"franz-go", func(b *testing.B) { franzPublish(b, cluster.Servers(), cluster.Prefix(b), list, sample) }})
}

func publish(b *testing.B, servers []string, prefix string, list []*Event, sample []byte) {
	topic(b, servers, prefix+"events")
	app := bus.New(bus.Config{Servers: servers, TopicPrefix: prefix})
	bus.MustSchema[Event](app, "Event")
	if err := app.Publish(b.Context(), "events", list[0]); err != nil { // connected
		b.Fatal(err)
	}
	// The outcome of each record is looked at, some time after it was published.
	window := make([]*bus.Receipt, 50_000)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slot := &window[i%len(window)]
		if *slot != nil {
			if err := (*slot).Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		*slot = app.PublishAsync(b.Context(), "events", list[i%len(list)])
	}
	if err := app.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	for _, r := range window[:min(b.N, len(window))] {
		if err := r.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	recordsPerSecond(b, 1)
	if err := app.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func franzPublish(b *testing.B, servers []string, prefix string, list []*Event, sample []byte) {
	name := prefix + "events"
	topic(b, servers, name)
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.DefaultProduceTopic(name),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(250_000), kgo.ProducerLinger(5*time.Millisecond)) // as ours has by default
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	// Connected, and past the seconds that a new topic can cost it.
	if err := client.ProduceSync(b.Context(), &kgo.Record{Value: sample}).FirstErr(); err != nil {
		b.Fatal(err)
	}
	failed := make(chan error, 1)
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		value, err := json.Marshal(list[i%len(list)])
		if err != nil {
			b.Fatal(err)
		}
		client.Produce(b.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	recordsPerSecond(b, 1)
}

// BenchmarkTail reads one topic of 1,000,000 records of 240 bytes from its start to its end, as often as b.N says.
func BenchmarkTail(b *testing.B) {
	cluster := kafkatest.Start(b)
	servers, prefix := cluster.Servers(), cluster.Prefix(b)
	name := prefix + "records"
	topic(b, servers, name)
	fill(b, servers, name, stored, letters())
	inTurns(b,
		peer{"kafkaesk", func(b *testing.B) { tail(b, servers, prefix) }},
		peer{"franz-go", func(b *testing.B) { franzRead(b, servers, name) }},
		peer{"kafka-go.Reader", func(b *testing.B) { readerRead(b, servers, name) }})
}

// stored is how many records a benchmark reads.
const stored = 1_000_000

func tail(b *testing.B, servers []string, prefix string) {
	app := bus.New(bus.Config{Servers: servers, TopicPrefix: prefix})
	if err := app.Initialize(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		seen := 0
		for _, err := range app.Tail(b.Context(), "records", bus.FromStart(), bus.StopAtEnd()) {
			if err != nil {
				b.Fatal(err)
			}
			seen++
		}
		if seen != stored {
			b.Fatalf("read %d records, want %d", seen, stored)
		}
	}
	b.StopTimer()
	recordsPerSecond(b, stored)
	if err := app.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func franzRead(b *testing.B, servers []string, name string) {
	b.ReportAllocs()
	for range b.N {
		client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.ConsumeTopics(name),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			b.Fatal(err)
		}
		for seen := 0; seen < stored; {
			fetches := client.PollFetches(b.Context())
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			seen += fetches.NumRecords()
		}
		b.StopTimer()
		client.Close()
		b.StartTimer()
	}
	recordsPerSecond(b, stored)
}

func readerRead(b *testing.B, servers []string, name string) {
	b.ReportAllocs()
	for range b.N {
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: servers, Topic: name, GroupID: "bench-" + rand.Text(), // only in a group it reads all partitions
			StartOffset: kafka.FirstOffset, MinBytes: 1, MaxBytes: 10 << 20,
		})
		for range stored {
			if _, err := reader.FetchMessage(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer() // its Close waits for a poll that is under way, up to 10 s
		if err := reader.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	recordsPerSecond(b, stored)
}

// letters are the value of the records that BenchmarkTail reads.
func letters() []byte {
	value := make([]byte, 240)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	return value
}

// fill writes n records of this value.
func fill(b *testing.B, servers []string, name string, n int, value []byte) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.DefaultProduceTopic(name),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for range n {
		client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// recordsPerSecond reports the rate where each operation is so many records.
func recordsPerSecond(b *testing.B, each int) {
	b.ReportMetric(float64(b.N)*float64(each)/b.Elapsed().Seconds(), "records/s")
}
