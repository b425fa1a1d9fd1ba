//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

// startKafka starts the Kafka that the variable KAFKA asks for, as the tests do: the embedded broker, Apache Kafka, or
// one that is there.
func startKafka(ctx context.Context) (servers []string, stop func() error, err error) {
	switch kafka := os.Getenv("KAFKA"); kafka {
	case "", "embedded":
		// It keeps everything in memory: on disk it has two open files for each partition, and 10,000 are too many.
		b, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, nil, err
		}
		return b.ListenAddrs(), func() error { b.Close(); return nil }, nil
	case "apache":
		c, err := apache.Start(ctx, apache.Options{Properties: map[string]string{"group.initial.rebalance.delay.ms": "0"}})
		if err != nil {
			return nil, nil, err
		}
		return c.Servers(), c.Close, nil
	default:
		return strings.Split(kafka, ","), func() error { return nil }, nil
	}
}

func randomName() string { return strings.ToLower(rand.Text()[:8]) }

// makeTopics makes topics that take records of a megabyte, and returns when each partition has a leader.
func makeTopics(ctx context.Context, p place, partitions int, names ...string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics := make([]string, 0, len(names))
	for _, name := range names {
		topics = append(topics, p.Prefix+name)
	}
	const most = 50 // topics in one request: thousands of partitions at once make a controller fall behind
	for chunk := range slices.Chunk(topics, most) {
		made, err := admin.CreateTopics(ctx, int32(partitions), 1, nil, chunk...)
		if err = errors.Join(err, made.Error()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		offsets, err := admin.ListEndOffsets(ctx, topics...)
		if err == nil && offsets.Error() == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the leaders of the new partitions: %w", errors.Join(err, offsets.Error()))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// deleteTopics deletes what a comparison made. A broker that cannot is left as it is: its topics are the run's own.
func deleteTopics(p place) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...))
	if err != nil {
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, p.Prefix) {
			_, _ = admin.DeleteTopics(ctx, name)
		}
	}
}

// batch is what to fill a topic with.
type batch struct {
	records, size int
	codec         string
	partition     func(i int) int32
}

// fill writes the records of b.
func fill(ctx context.Context, p place, stream string, b batch) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.DefaultProduceTopic(p.Prefix+stream),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(franzCodec(b.codec)),
		kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	values := texts(b.size)
	var failed atomic.Pointer[error]
	for i := range b.records {
		r := &kgo.Record{Value: values[i%len(values)], Partition: b.partition(i)}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// evenly spreads records over n partitions, in runs that make full batches.
func evenly(n int) func(int) int32 { return func(i int) int32 { return int32(i % n) } }

// franzCodec is a codec by the name that the bus gives it.
func franzCodec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

// texts are values of that size: words and hexadecimal numbers, which compress to about a third, the same in every run.
func texts(size int) [][]byte {
	words := strings.Fields("the engine weaves algebraic patterns just as the loom weaves flowers and leaves, " +
		"level=info status=200 user=ada path=/notes")
	random := mathrand.New(mathrand.NewPCG(1, 2))
	const bytes = 8 << 20 // of them all
	values := make([][]byte, min(1000, max(4, bytes/size)))
	for i := range values {
		value := make([]byte, 0, size+20)
		for len(value) < size {
			if random.IntN(3) == 0 {
				value = fmt.Appendf(value, "%08x ", random.Uint32())
			} else {
				value = append(append(value, words[random.IntN(len(words))]...), ' ')
			}
		}
		values[i] = value[:size]
	}
	return values
}
