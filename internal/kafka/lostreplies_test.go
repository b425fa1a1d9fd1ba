package kafka_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// lossy is a connection on which one in four answers to a produce request arrives and is lost, and the connection with
// it.
type lossy struct {
	observed
	answers *atomic.Int64 // of all connections
	due     atomic.Bool   // the next bytes to be read are an answer
}

func (l *lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b) // the broker has written the records by now
	if err == nil && l.due.CompareAndSwap(true, false) && l.answers.Add(1)%4 == 0 {
		l.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestAQuarterOfTheRepliesLost writes one record after another, so that each is a batch of its own with an answer of
// its own.
func TestAQuarterOfTheRepliesLost(t *testing.T) {
	t.Parallel()
	const records = 100
	cluster := kafkatest.Start(t)
	s := kafka.DefaultSettings()
	s.RetryBackoff = time.Millisecond
	client, err := kafka.NewClient(cluster.Servers(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := new(atomic.Int64)
	kafka.WrapConns(client, func(c net.Conn) net.Conn {
		l := &lossy{answers: answers}
		l.observed = observed{Conn: c, request: func(key protocol.ApiKey, _ int16) { l.due.Store(key == protocol.Produce) }}
		return l
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := cluster.Prefix(t) + "topic"
	if err := client.EnsureTopic(ctx, topic, kafka.TopicSpec{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	p := produce.New(client, produce.Options{})
	for i := range records {
		var promise produce.Promise
		p.Produce(ctx, produce.Record{Topic: topic, Value: fmt.Append(nil, i)}, true, &promise)
		<-promise.Done()
		if err := promise.Err(); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	stats := p.Stats()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if stats.Retries < records/5 || stats.Resets > 0 {
		t.Errorf("%d retries and %d resets: want a quarter of the batches sent again, under the same producer id",
			stats.Retries, stats.Resets)
	}

	part := kafka.TopicPartition{Topic: topic}
	ends, err := client.ListOffsets(ctx, []kafka.TopicPartition{part}, kafka.EndOffset)
	if err != nil || ends[part] != records {
		t.Fatalf("the partition ends at %v (%v), want %d", ends, err, records)
	}
	f := fetch.New(client, fetch.Options{})
	defer f.Close()
	f.AddAt(part, kafka.FirstOffset)
	for next := 0; next < records; {
		chunk, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range chunk.Records {
			if string(r.Value) != fmt.Sprint(next) {
				t.Fatalf("offset %d has record %s, want %d", r.Offset, r.Value, next)
			}
			next++
		}
	}
}
