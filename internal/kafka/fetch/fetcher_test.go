package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// TestEveryRecordOnce reads what franz-go wrote with each codec to all partitions of two brokers.
func TestEveryRecordOnce(t *testing.T) {
	t.Parallel()
	const partitions, each = 6, 200
	b := setup(t, partitions, kafkatest.Nodes(2), kafkatest.Own())
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(),
		kgo.Lz4Compression(), kgo.ZstdCompression()}
	want := make(map[int32][]string)
	for i, codec := range codecs {
		p := b.newProducer(kgo.ProducerBatchCompression(codec))
		var records []*kgo.Record
		for n := range partitions * each {
			id := int32(n % partitions)
			v := fmt.Sprintf("codec %d record %d %s", i, n, strings.Repeat("x", n%100))
			want[id] = append(want[id], v)
			records = append(records, &kgo.Record{Partition: id, Value: []byte(v), Key: []byte("k"),
				Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(v)}}})
		}
		b.produce(p, records...)
	}
	f := b.fetcher(fetch.Options{})
	for id := range int32(partitions) {
		f.Add(b.part(id), 0)
	}
	total := partitions * each * len(codecs)
	got := b.read(f, func(s *seen) bool {
		n := 0
		for _, v := range s.values {
			n += len(v)
		}
		return n >= total
	})
	if diff := cmp.Diff(want, got.values); diff != "" || got.errs != nil {
		t.Error(diff, got.errs)
	}
	cluster, err := b.client.AllTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaders := make(map[int32]bool) // one of the two may lead everything
	for _, leader := range cluster.Topics[b.topic].Leaders {
		leaders[leader] = true
	}
	if s := f.Stats(); s.Brokers != len(leaders) || s.Partitions != partitions || s.Requests == 0 || s.Bytes == 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestStartsInsideABatch asks for an offset in the middle of a batch, and reads headers and times.
func TestStartsInsideABatch(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	when := time.UnixMilli(1_700_000_000_123)
	var records []*kgo.Record
	for i := range 10 {
		records = append(records, &kgo.Record{Value: fmt.Append(nil, i), Timestamp: when,
			Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}}})
	}
	b.produce(b.producer, records...)
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 7)
	var offsets []int64
	for len(offsets) < 3 {
		c, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.Records {
			offsets = append(offsets, r.Offset)
			if r.Time.UnixMilli() != when.UnixMilli() || r.Key != nil || len(r.Headers) != 1 || r.Headers[0].Name != "n" ||
				string(r.Headers[0].Value) != string(r.Value) {
				t.Errorf("record %+v", r)
			}
		}
		if c.HighWatermark != 10 {
			t.Errorf("high watermark %d", c.HighWatermark)
		}
	}
	if !slices.Equal(offsets, []int64{7, 8, 9}) {
		t.Errorf("offsets %v", offsets)
	}
}

// TestAbortedAndControlRecordsAreNotSeen is invariant 17: neither is seen, and offsets pass them.
func TestAbortedAndControlRecordsAreNotSeen(t *testing.T) {
	t.Parallel()
	for _, level := range []string{kafka.ReadCommitted, kafka.ReadUncommitted} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			s := b.client.Settings()
			s.IsolationLevel = level
			client, err := kafka.NewClient(b.cluster.Servers(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			b.client = client
			var want []string
			end := int64(0)
			write := func(p *kgo.Client, visible bool, value string) {
				b.produce(p, &kgo.Record{Value: []byte(value)})
				end++
				if visible {
					want = append(want, value)
				}
			}
			p := b.newProducer(kgo.TransactionalID(b.topic + "-1"))
			q := b.newProducer(kgo.TransactionalID(b.topic + "-2"))
			for round := range 3 {
				for _, c := range []*kgo.Client{p, q} {
					if err := c.BeginTransaction(); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 3 { // two transactions and plain records, mixed
					write(p, level == kafka.ReadUncommitted, fmt.Sprintf("aborted %d %d", round, i))
					write(q, true, fmt.Sprintf("committed %d %d", round, i))
					write(b.producer, true, fmt.Sprintf("plain %d %d", round, i))
				}
				for c, commit := range map[*kgo.Client]kgo.TransactionEndTry{p: kgo.TryAbort, q: kgo.TryCommit} {
					if err := c.EndTransaction(t.Context(), commit); err != nil {
						t.Fatal(err)
					}
					end++ // the marker
				}
			}
			f := b.fetcher(fetch.Options{})
			f.Add(b.part(0), 0)
			got := b.read(f, nextIs(end))
			if diff := cmp.Diff(want, got.values[0]); diff != "" || got.errs != nil {
				t.Error(diff, got.errs)
			}
		})
	}
}

// TestAddRemovePauseResume changes what is read while it is read.
func TestAddRemovePauseResume(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	f.Add(b.part(1), 0)
	both := func(s *seen) bool { return len(s.values[0]) > 0 && len(s.values[1]) > 0 }
	write := func(v string) {
		b.produce(b.producer, &kgo.Record{Partition: 0, Value: []byte(v)}, &kgo.Record{Partition: 1, Value: []byte(v)})
	}
	write("a")
	b.read(f, both)

	f.Pause(b.part(0))
	// A request with partition 0 may be on its way: what it brings still comes. The one after it is without.
	before := f.Stats().Requests
	b.waitFor(func() bool { return f.Stats().Requests >= before+2 })
	write("b")
	got := b.read(f, func(s *seen) bool { return len(s.values[1]) > 0 })
	if len(got.values[0]) > 0 {
		t.Errorf("a paused partition came: %v", got.values[0])
	}
	f.Resume(b.part(0))
	if got := b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 }); got.values[0][0] != "b" {
		t.Errorf("after Resume: %v", got.values[0])
	}

	f.Remove(b.part(1))
	write("c")
	got = b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 })
	if len(got.values[1]) > 0 {
		t.Errorf("a removed partition came: %v", got.values[1])
	}
	f.Add(b.part(1), 1)
	got = b.read(f, func(s *seen) bool { return len(s.values[1]) >= 2 })
	if diff := cmp.Diff([]string{"b", "c"}, got.values[1]); diff != "" {
		t.Error(diff)
	}
	f.Add(b.part(1), 0) // again from elsewhere
	got = b.read(f, func(s *seen) bool { return len(s.values[1]) >= 3 })
	if diff := cmp.Diff([]string{"a", "b", "c"}, got.values[1]); diff != "" {
		t.Error(diff)
	}
}

// waitFor polls a condition.
func (b *bench) waitFor(ok func() bool) {
	b.t.Helper()
	testkit.Until(b.t, "the condition", ok)
}

// TestAddAt looks places up.
func TestAddAt(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	for i := range 6 {
		b.produce(b.producer, &kgo.Record{Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(int64(1000 + 10*i))})
	}
	deleteRecords(b, 2)
	tests := []struct {
		name string
		at   int64
		want int64
	}{
		{"first", kafka.FirstOffset, 2},
		{"end", kafka.EndOffset, 6},
		{"time", 1035, 4},
		{"time after the last", 5000, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := fetch.New(b.client, fetch.Options{})
			defer f.Close()
			f.AddAt(b.part(0), tt.at)
			c, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Records) > 0 || c.Next != tt.want {
				t.Errorf("begins at %d with %d records, want %d", c.Next, len(c.Records), tt.want)
			}
		})
	}
}

// deleteRecords has the broker forget what lies before an offset of partition 0.
func deleteRecords(b *bench, before int64) {
	b.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = before
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic, topic.Partitions = b.topic, []kmsg.DeleteRecordsRequestTopicPartition{p}
	req.Topics = append(req.Topics, topic)
	for _, shard := range b.producer.RequestSharded(b.t.Context(), req) {
		if shard.Err != nil {
			b.t.Fatal(shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					b.t.Fatalf("deleting records: code %d", p.ErrorCode)
				}
			}
		}
	}
}

// TestOutOfRange asks for what retention has removed, and for what was never there.
func TestOutOfRange(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	for i := range 6 {
		b.produce(b.producer, &kgo.Record{Value: fmt.Append(nil, i)})
	}
	deleteRecords(b, 4)
	tests := []struct {
		policy string
		from   int64
		want   []string
	}{
		{kafka.Earliest, 1, []string{"4", "5"}},
		{kafka.Earliest, 100, []string{"4", "5"}},
		{kafka.Latest, 1, nil},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s from %d", tt.policy, tt.from), func(t *testing.T) {
			f := fetch.New(b.client, fetch.Options{OutOfRange: tt.policy})
			defer f.Close()
			f.Add(b.part(0), tt.from)
			got := b.read(f, nextIs(6))
			if diff := cmp.Diff(tt.want, got.values[0]); diff != "" {
				t.Error(diff)
			}
			if n := f.Stats().OutOfRange; n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		f := fetch.New(b.client, fetch.Options{OutOfRange: kafka.NoReset})
		defer f.Close()
		f.Add(b.part(0), 1)
		_, err := f.Next(t.Context())
		bad, ok := errors.AsType[*fetch.PartitionError](err)
		if !ok || bad.Next != -1 || bad.Offset != 1 || bad.Topic != b.topic || !strings.Contains(err.Error(), "has stopped") {
			t.Errorf("got %v", err)
		}
	})
}

// TestFairness has more in each partition than fits into one answer: none waits for another to end.
func TestFairness(t *testing.T) {
	t.Parallel()
	const partitions = 5
	b := setup(t, partitions)
	s := b.client.Settings()
	s.FetchMaxBytes, s.MaxPartitionFetchBytes = 64<<10, 64<<10
	client, err := kafka.NewClient(b.cluster.Servers(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b.client = client
	plain := b.newProducer(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 40 {
		for id := range int32(partitions) {
			b.produce(plain, &kgo.Record{Partition: id, Value: make([]byte, 60<<10)})
		}
	}
	f := b.fetcher(fetch.Options{MaxBuffered: 1})
	for id := range int32(partitions) {
		f.Add(b.part(id), 0)
	}
	b.read(f, func(s *seen) bool {
		least, most := 1000, 0
		for id := range int32(partitions) {
			least, most = min(least, len(s.values[id])), max(most, len(s.values[id]))
		}
		if most-least > 3 {
			t.Fatalf("one partition is at %d records, another at %d", most, least)
		}
		return least >= 40
	})
}

// TestMissingTopicDisturbsNobody reads a topic beside one that does not exist, until it does.
func TestMissingTopicDisturbsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	f := b.fetcher(fetch.Options{})
	later := kafka.TopicPartition{Topic: b.topic + ".later"}
	f.Add(later, 0)
	f.Add(b.part(0), 0)
	b.produce(b.producer, &kgo.Record{Value: []byte("a")})
	b.read(f, nextIs(1))
	if err := b.client.EnsureTopic(t.Context(), later.Topic, kafka.TopicSpec{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	b.produce(b.producer, &kgo.Record{Topic: later.Topic, Value: []byte("b")})
	got := b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 })
	if got.values[0][0] != "b" {
		t.Errorf("got %v", got.values)
	}
}

func TestNextEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	f := fetch.New(b.client, fetch.Options{})
	f.Add(b.part(0), 0)
	cause := errors.New("my cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	if _, err := f.Next(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
	time.AfterFunc(20*time.Millisecond, f.Close)
	if _, err := f.Next(t.Context()); !errors.Is(err, fetch.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	f.Close()
}
