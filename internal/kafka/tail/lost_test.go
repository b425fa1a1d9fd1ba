package tail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
)

// TestDeletedBeforeRead tells which records retention has deleted between two fetches: by an error when the tail is
// to be whole, and by one line while it follows.
func TestDeletedBeforeRead(t *testing.T) {
	t.Parallel()
	const records, kept = 2_000, 1_990
	for _, o := range []tail.Options{
		{From: tail.First, StopAtEnd: true},
		{From: tail.First},
	} {
		t.Run(fmt.Sprintf("StopAtEnd=%v", o.StopAtEnd), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			topic := b.create("topic", 1)
			p := b.newProducer(kgo.ProducerBatchMaxBytes(2_000), kgo.MaxBufferedRecords(records))
			value := bytes.Repeat([]byte("v"), 1000)
			for range records {
				p.Produce(t.Context(), &kgo.Record{Topic: topic, Value: value}, nil)
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := kafka.DefaultSettings()
			s.MaxPartitionFetchBytes = 10_000 // it cannot have read much before records are deleted
			client, err := kafka.NewClient(b.cluster.Servers(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			var log bytes.Buffer
			deleted := false
			o.Match, o.Logger = b.match, slog.New(slog.NewTextHandler(&log, nil))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var offsets []int64
			var lost []*fetch.PartitionError
			for c, err := range tail.Run(ctx, client, o) {
				if err != nil {
					bad, ok := errors.AsType[*fetch.PartitionError](err)
					if !ok || !errors.Is(err, tail.ErrDeleted) {
						t.Fatal(err)
					}
					lost = append(lost, bad)
					continue
				}
				if !deleted {
					deleted = true
					b.deleteRecords(topic, kept)
				}
				for _, r := range c.Records {
					offsets = append(offsets, r.Offset)
				}
				if !o.StopAtEnd && offsets[len(offsets)-1] == records-1 {
					break
				}
			}
			gap := slices.Index(offsets, kept)
			if gap < 1 || offsets[gap-1] >= kept-1 || offsets[len(offsets)-1] != records-1 {
				t.Fatalf("%d records, those that were kept begin at %d", len(offsets), gap)
			}
			from := offsets[gap-1] + 1
			line := fmt.Sprintf("were deleted before they were read; reading goes on behind them\" topic=%s partition=0 "+
				"from=%d to=%d", topic, from, kept)
			if !o.StopAtEnd {
				if len(lost) > 0 || strings.Count(log.String(), line) != 1 || strings.Count(log.String(), "\n") != 1 {
					t.Errorf("errors %v, want the line %s; got %s", lost, line, log.String())
				}
				return
			}
			if len(lost) != 1 || lost[0].Topic != topic || lost[0].Partition != 0 || lost[0].Offset != from ||
				lost[0].Next != kept {
				t.Errorf("got %v, want one error from %d to %d", lost, from, kept)
			}
		})
	}
}

// deleteRecords deletes the records of a topic's partition 0 that lie before an offset.
func (b *bench) deleteRecords(topic string, before int64) {
	b.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = before
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.DeleteRecordsRequestTopicPartition{p}
	req.Topics = append(req.Topics, rt)
	for _, shard := range b.producer.RequestSharded(b.t.Context(), req) {
		if shard.Err != nil {
			b.t.Fatal(shard.Err)
		}
		if code := shard.Resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			b.t.Fatalf("deleting records: code %d", code)
		}
	}
}

// TestOpenTransactionIsTold ends before a transaction that nobody has ended, and says that there is more.
func TestOpenTransactionIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 2)
	b.write(topic, 0, "a")
	b.write(topic, 1, "b")
	p := b.newProducer(kgo.TransactionalID(topic))
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.write(topic, 0, "behind it")
	for _, o := range []tail.Options{{From: tail.First}, {From: tail.Last, Last: 10}} {
		o.Match, o.StopAtEnd = b.match, true
		var values []string
		var last error
		for c, err := range tail.Run(t.Context(), b.client, o) {
			if err != nil {
				last = errors.Join(last, err)
				continue
			}
			if last != nil {
				t.Error("records behind the error")
			}
			for _, r := range c.Records {
				values = append(values, string(r.Value))
			}
		}
		slices.Sort(values)
		if diff := cmp.Diff([]string{"a", "b"}, values); diff != "" {
			t.Error(diff)
		}
		bad, ok := errors.AsType[*fetch.PartitionError](last)
		if !ok || !errors.Is(last, tail.ErrOpenTransaction) || bad.Topic != topic || bad.Partition != 0 || bad.Offset != 1 {
			t.Errorf("got %v", last)
		}
	}
	if err := p.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// TestDeniedIsTriedAgain reads a partition that was denied when that is over, after one error for it.
func TestDeniedIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, embedded())
	denied, other := b.create("denied", 1), b.create("other", 1)
	b.write(denied, 0, "a")
	b.write(other, 0, "b")
	b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: denied,
		Err: kerr.TopicAuthorizationFailed, Count: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var values []string
	var errs []error
	for c, err := range tail.Run(ctx, b.client, tail.Options{Match: b.match, From: tail.First}) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range c.Records {
			values = append(values, string(r.Value))
		}
		if len(values) == 2 {
			break
		}
	}
	slices.Sort(values)
	if diff := cmp.Diff([]string{"a", "b"}, values); diff != "" {
		t.Error(diff)
	}
	bad, ok := errors.AsType[*fetch.PartitionError](errors.Join(errs...))
	if !ok || len(errs) != 1 || bad.Topic != denied || !errors.Is(bad, kafka.ErrAuth) {
		t.Errorf("got %v", errs)
	}
}
