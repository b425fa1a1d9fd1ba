package slogkafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
)

// BenchmarkDelivery hands over ready records of 355 bytes, and waits until Kafka has acknowledged all: by the queue of
// a handler, by franz-go, and by PublishBatch. All have the same values and headers, no compression, and a linger of 5
// ms. Run it with -benchtime=500000x, and compare the records per second of one run.
func BenchmarkDelivery(b *testing.B) {
	cluster := kafkatest.Start(b)
	prefix := cluster.Prefix(b)
	app := bus.New(bus.Config{
		Servers: cluster.Servers(), TopicPrefix: prefix, Logger: slog.New(slog.DiscardHandler),
		Settings: bus.Settings{"compression_type": "none", "linger_ms": 5},
	})
	value := []byte(strings.Repeat("x", 355))
	if err := app.PublishRaw(b.Context(), "logs", value); err != nil {
		b.Fatal(err)
	}
	topic := prefix + "logs"
	for round := range 3 {
		for _, goroutines := range []int{1, 8} {
			b.Run(fmt.Sprintf("slogkafka/%d/%d", goroutines, round), func(b *testing.B) { deliver(b, app, value, goroutines) })
			b.Run(fmt.Sprintf("franz-go/%d/%d", goroutines, round), func(b *testing.B) {
				deliverFranz(b, cluster.Servers(), topic, value, goroutines)
			})
		}
		b.Run(fmt.Sprintf("PublishBatch/%d", round), func(b *testing.B) { publishBatches(b, app, value) })
	}
	if err := app.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

func deliver(b *testing.B, app *bus.App, value []byte, goroutines int, opts ...Option) {
	opts = append(opts, Linger(5*time.Millisecond), Overflow(Block(time.Minute)), Fallback(slog.DiscardHandler))
	h := NewHandler(app, "logs", opts...)
	b.ResetTimer()
	var cells sync.Pool // as the encoder's memory has them
	cells.New = func() any { return h.queue.newCell() }
	spread(b.N, goroutines, func() {
		c := cells.Get().(*cell)
		defer cells.Put(c)
		e := entry{text: value, stream: "logs", time: time.Now(), cell: c}
		if err := h.ship(context.Background(), &e); err != nil {
			b.Error(err)
		}
	})
	if err := h.Close(context.Background()); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	perSecond(b)
}

func deliverFranz(b *testing.B, servers []string, topic string, value []byte, goroutines int) {
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(defaultRecords), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(512<<10))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	b.ResetTimer()
	spread(b.N, goroutines, func() {
		var id [recordid.Length]byte
		now := time.Now()
		recordid.New(&id, now)
		client.Produce(context.Background(), &kgo.Record{
			Topic: topic, Value: value, Timestamp: now, Headers: []kgo.RecordHeader{{Key: bus.IDHeader, Value: id[:]}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	})
	if err := client.Flush(context.Background()); err != nil {
		b.Error(err)
	}
	b.StopTimer()
	perSecond(b)
}

func publishBatches(b *testing.B, app *bus.App, value []byte) {
	const most = 5000
	batch := make([]bus.Outgoing, most)
	for left := b.N; left > 0; left -= most {
		now := time.Now()
		for i := range batch {
			batch[i] = bus.Outgoing{Value: value, Time: now}
		}
		if err := app.PublishBatch(context.Background(), "logs", batch[:min(left, most)]); err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	perSecond(b)
}

// spread calls f n times on so many goroutines.
func spread(n, goroutines int, f func()) {
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n; i += goroutines {
				f()
			}
		})
	}
	wg.Wait()
}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s") }
