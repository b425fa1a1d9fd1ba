package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// consumed is how many records they handle: so many that what a consumer has fetched before it hands on the first one
// matters little.
const consumed = 3_000_000

// Content is what the consumers decode: 200 bytes with the envelope.
type Content struct {
	ID     string   `json:"id"`
	Author string   `json:"author"`
	Path   string   `json:"path"`
	Size   int      `json:"size"`
	Tags   []string `json:"tags"`
	Done   bool     `json:"done"`
}

// envelope is how a peer reads what the bus writes.
type envelope struct {
	Schema string  `json:"schema"`
	Data   Content `json:"data"`
}

func content() []byte {
	value, err := json.Marshal(envelope{Schema: "Content:1", Data: Content{
		ID: "content-000000000042", Author: "ada.lovelace@example.com",
		Path: "/content/articles/2026/11/notes-on-the-engine-42",
		Size: 1843, Tags: []string{"web", "draft"}, Done: true,
	}})
	if err != nil {
		panic(err)
	}
	return value
}

// BenchmarkConsumeRaw handles 3,000,000 records of 200 bytes in a group of one member, as often as b.N says, with
// handlers that look at the bytes only. Offsets are committed every second. Each time is a new group, and the time is
// that from the first record handled to the last one: to join a group takes seconds, which belong to the broker's
// settings.
func BenchmarkConsumeRaw(b *testing.B) {
	consume(b,
		func(b *testing.B, c cell) {
			busConsume(b, c, func(w *stopwatch) func(context.Context, []byte) error {
				return func(_ context.Context, value []byte) error {
					w.note(len(value) > 0)
					return nil
				}
			})
		},
		func(value []byte) bool { return len(value) > 0 })
}

// BenchmarkConsumeTyped is the same with the data of each record decoded into a struct: by encoding/json, of the whole
// envelope, for the peers.
func BenchmarkConsumeTyped(b *testing.B) {
	consume(b,
		func(b *testing.B, c cell) {
			busConsume(b, c, func(w *stopwatch) func(context.Context, Content) error {
				return func(_ context.Context, data Content) error {
					w.note(data.Done)
					return nil
				}
			})
		},
		func(value []byte) bool {
			var e envelope
			return json.Unmarshal(value, &e) == nil && e.Data.Done
		})
}

// cell is where a benchmark's records lie.
type cell struct {
	servers []string
	prefix  string // before the stream "content"
}

func consume(b *testing.B, ours func(*testing.B, cell), good func(value []byte) bool) {
	cluster := kafkatest.Start(b)
	c := cell{servers: cluster.Servers(), prefix: cluster.Prefix(b)}
	name := c.prefix + "content"
	topic(b, c.servers, name)
	fill(b, c.servers, name, consumed, content())
	inTurns(b,
		peer{"kafkaesk", func(b *testing.B) { ours(b, c) }},
		peer{"franz-go", func(b *testing.B) { franzConsume(b, c.servers, name, good) }},
		peer{"kafka-go.Reader", func(b *testing.B) { readerConsume(b, c.servers, name, good) }})
}

// stopwatch takes the time from the first record to the last of them all. Its methods may be called concurrently.
type stopwatch struct {
	seen        atomic.Int64
	bad         atomic.Int64
	first, last time.Time
	stop        context.CancelFunc // called at the last one
}

func (w *stopwatch) note(good bool) {
	if !good {
		w.bad.Add(1)
	}
	switch w.seen.Add(1) {
	case 1:
		w.first = time.Now()
	case consumed:
		w.last = time.Now()
		w.stop()
	}
}

// consumeAll has a consumer read everything, b.N times, and reports the rate. The consumer calls note for each record,
// and returns when its context has ended, which the stopwatch does.
func consumeAll(b *testing.B, consume func(ctx context.Context, w *stopwatch)) {
	b.ReportAllocs()
	var total time.Duration
	for range b.N {
		ctx, cancel := context.WithTimeout(b.Context(), 3*time.Minute)
		w := &stopwatch{stop: cancel}
		consume(ctx, w)
		cancel()
		if seen, bad := w.seen.Load(), w.bad.Load(); seen < consumed || bad > 0 {
			b.Fatalf("%d records handled, %d of them wrong; want %d", seen, bad, consumed)
		}
		total += w.last.Sub(w.first)
	}
	b.ReportMetric(float64(b.N)*consumed/total.Seconds(), "records/s")
}

func busConsume[T any](b *testing.B, c cell, handler func(*stopwatch) func(context.Context, T) error) {
	consumeAll(b, func(ctx context.Context, w *stopwatch) {
		app := bus.New(bus.Config{Servers: c.servers, TopicPrefix: c.prefix})
		bus.MustSubscribe(app, "content", handler(w), bus.Group(newGroup()))
		if err := app.Run(ctx); err != nil {
			b.Fatal(err)
		}
		if err := app.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}

func franzConsume(b *testing.B, servers []string, name string, good func([]byte) bool) {
	consumeAll(b, func(ctx context.Context, w *stopwatch) {
		client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.ConsumeTopics(name), kgo.ConsumerGroup(newGroup()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(time.Second))
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		for {
			fetches := client.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) { w.note(good(r.Value)) })
		}
	})
}

func readerConsume(b *testing.B, servers []string, name string, good func([]byte) bool) {
	consumeAll(b, func(ctx context.Context, w *stopwatch) {
		reader := kafka.NewReader(kafka.ReaderConfig{
			Brokers: servers, Topic: name, GroupID: newGroup(), StartOffset: kafka.FirstOffset,
			MinBytes: 1, MaxBytes: 10 << 20, CommitInterval: time.Second,
		})
		defer func() {
			if err := reader.Close(); err != nil {
				b.Error(err)
			}
		}()
		for {
			message, err := reader.ReadMessage(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				b.Fatal(err)
			}
			w.note(good(message.Value))
		}
	})
}

func newGroup() string { return "bench-" + strings.ToLower(rand.Text()) }
