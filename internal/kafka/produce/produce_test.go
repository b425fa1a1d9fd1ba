package produce_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestARecordArrivesAsItWasGiven(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 1, 2, 3, 456_000_000, time.UTC)
	tests := []struct {
		name        string
		compression wire.Compression
		record      produce.Record
	}{
		{"value alone", wire.None, produce.Record{Value: []byte("v")}},
		{"empty key is a key", wire.None, produce.Record{Key: []byte{}, Value: []byte("v")}},
		{"null value", wire.Gzip, produce.Record{Key: []byte("k")}},
		{"empty value", wire.None, produce.Record{Key: []byte("k"), Value: []byte{}}},
		{"headers", wire.Zstd, produce.Record{Key: []byte("k"), Value: []byte("v"),
			Headers: []wire.Header{{Name: "a", Value: []byte("1")}, {Name: "b"}}}},
		{"snappy", wire.Snappy, produce.Record{Value: []byte(strings.Repeat("v", 9999))}},
		{"lz4", wire.Lz4, produce.Record{Value: []byte(strings.Repeat("v", 9999))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 5)
			p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Compression = test.compression })
			r := test.record
			r.Topic, r.Time = "a", at
			var promise produce.Promise
			p.Produce(t.Context(), r, true, &promise)
			if err := wait(t, &promise); err != nil {
				t.Fatal(err)
			}
			partition, offset := promise.Position()
			if offset != 0 {
				t.Errorf("offset = %d, want 0", offset)
			}
			if r.Key != nil && partition != wire.Murmur2Partition(r.Key, 5) {
				t.Errorf("partition = %d, want %d", partition, wire.Murmur2Partition(r.Key, 5))
			}
			records := b.read("a")[partition]
			if len(records) != 1 {
				t.Fatalf("%d records in partition %d, want 1", len(records), partition)
			}
			got := records[0]
			var headers []wire.Header
			for _, h := range got.Headers {
				headers = append(headers, wire.Header{Name: h.Key, Value: h.Value})
			}
			want := produce.Record{Topic: got.Topic, Key: got.Key, Value: got.Value, Headers: headers, Time: got.Timestamp.UTC()}
			if diff := cmp.Diff(r, want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheCallersBuffersAreFreeAfterProduce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, nil)
	promises := make([]produce.Promise, 100)
	key, val, header := make([]byte, 3), make([]byte, 3), []wire.Header{{Name: "h", Value: make([]byte, 3)}}
	for i := range promises {
		text := fmt.Sprintf("%03d", i)
		copy(key, text)
		copy(val, text)
		copy(header[0].Value, text)
		p.Produce(t.Context(), produce.Record{Topic: "a", Key: key, Value: val, Headers: header}, false, &promises[i])
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, r := range b.read("a")[0] {
		want := fmt.Sprintf("%03d", i)
		if string(r.Key) != want || string(r.Value) != want || string(r.Headers[0].Value) != want {
			t.Fatalf("record %d is %q %q %q", i, r.Key, r.Value, r.Headers[0].Value)
		}
	}
}

func TestUnkeyedRecordsGoRoundInWholeBatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 4)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.MaxBatchSize = 4096 })
	const n = 8000
	promises := make([]produce.Promise, n)
	for i := range promises {
		p.Produce(t.Context(), record("a", "", value(i)), false, &promises[i])
		// A partition whose batch waits for records, because its lock was held a moment ago, is passed over until that
		// batch is sent.
		if (i+1)%(n/8) == 0 {
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, part := range b.fake.PartitionInfos("a") {
		if part.HighWatermark < n/8 || part.HighWatermark > n/2 {
			t.Errorf("partition %d has %d of %d records", part.Partition, part.HighWatermark, n)
		}
	}
	switches, last := 0, int32(-1)
	for i := range promises {
		if partition, _ := promises[i].Position(); partition != last {
			switches, last = switches+1, partition
		}
	}
	if switches > n/20 {
		t.Errorf("%d switches of partition in %d records: these are not whole batches", switches, n)
	}
}

func TestATooLargeRecordIsRefusedBeforeItIsQueued(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.MaxRequestSize = 1000 })
	if err := send(t, p, t.Context(), "a", strings.Repeat("x", 1000)); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("err = %v, want ErrTooLarge", err)
	}
	if err := send(t, p, t.Context(), "a", strings.Repeat("x", 800)); err != nil {
		t.Error(err)
	}
	if s := p.Stats(); s.Requests != 1 {
		t.Errorf("%d requests, want 1", s.Requests)
	}
}

// A record that only moves from one topic to another is as large as it is: the broker alone says whether it takes it.
// It goes through a buffer that it is larger than, too, and keeps nobody behind it out for good.
func TestAMovedRecordIsLimitedByTheBrokerOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "3000"}))
	b.topic("a", 1)
	p := b.producer(produce.Options{MaxBytes: 1500}, func(s *kafka.Settings) {
		s.MaxRequestSize, s.MaxBatchSize = 1000, 500
	})
	var promises [30]produce.Promise
	for i := range promises {
		r := record("a", "", strings.Repeat("x", 100))
		if i%10 == 5 {
			r.Value, r.Moved = []byte(strings.Repeat("y", 2000)), true
		}
		p.Produce(within(t, 20*time.Second), r, false, &promises[i])
	}
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
	var promise produce.Promise
	p.Produce(within(t, 20*time.Second), produce.Record{Topic: "a", Value: make([]byte, 4000), Moved: true},
		true, &promise)
	if err := wait(t, &promise); !errors.Is(err, kafka.ErrTooLarge) || !errors.Is(err, kafka.CodeError(10)) {
		t.Errorf("err = %v, want ErrTooLarge from the broker", err)
	}
	if s := p.Stats(); s.Records != 0 || s.Bytes != 0 {
		t.Errorf("%d records of %d bytes are left in the buffer", s.Records, s.Bytes)
	}
}

func TestRecordsWaitForATopicThatAnotherProcessCreates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.producer(produce.Options{}, nil)
	var promises [10]produce.Promise
	for i := range promises {
		p.Produce(t.Context(), record("late", "k", value(i)), true, &promises[i])
	}
	testkit.Until(t, "the producer says that the topic is missing", func() bool { return p.Health() != nil })
	b.topic("late", 3)
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatal(err)
		}
		if _, offset := promises[i].Position(); offset != int64(i) {
			t.Errorf("record %d is at %d", i, offset)
		}
	}
	if err := p.Health(); err != nil {
		t.Errorf("unhealthy after all went well: %v", err)
	}
}

func TestATopicIsEnsuredOnceAndRetriedByClass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		errs  []error // of the first calls; afterwards it succeeds, unless want is an error
		want  error
		calls int32
	}{
		{"at once", nil, nil, 1},
		{"after errors", []error{errors.New("no route"), kafka.CodeErr(kerr.NotController.Code)}, nil, 3},
		{"never", nil, kafka.CodeErr(kerr.InvalidTopicException.Code), 1},
		{"denied", nil, kafka.ErrAuth, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var calls atomic.Int32
			p := b.producer(produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
				n := int(calls.Add(1))
				if test.want != nil {
					return test.want
				}
				if n <= len(test.errs) {
					return test.errs[n-1]
				}
				return b.fake.CreateTopic(topic, 2, nil)
			}}, nil)
			promises := make([]produce.Promise, 200)
			done := make(chan struct{})
			for g := range 4 {
				go func() {
					defer func() { done <- struct{}{} }()
					for i := g; i < len(promises); i += 4 {
						p.Produce(t.Context(), record("new", "", value(i)), false, &promises[i])
					}
				}()
			}
			for range 4 {
				<-done
			}
			if test.want == nil {
				if err := p.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := wait(t, &promises[0]); !errors.Is(err, test.want) {
				t.Errorf("err = %v, want %v", err, test.want)
			}
			if got := calls.Load(); got < test.calls || test.want == nil && got != test.calls {
				t.Errorf("EnsureTopic was called %d times, want %d", got, test.calls)
			}
		})
	}
}

func TestADeletedTopicIsEnsuredAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	partitions := int32(8)
	p := b.producer(produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
		if b.fake.TopicInfo(topic) != nil {
			return nil
		}
		return b.fake.CreateTopic(topic, partitions, nil)
	}}, nil)
	produceAll := func() {
		t.Helper()
		var promises [50]produce.Promise
		for i := range promises {
			p.Produce(t.Context(), record("a", fmt.Sprint("key", i), value(i)), false, &promises[i])
		}
		for i := range promises {
			if err := wait(t, &promises[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	produceAll()
	if err := b.fake.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	partitions = 2 // records that waited for the other six must find a place
	produceAll()
	total := int64(0)
	for _, part := range b.fake.PartitionInfos("a") {
		total += part.HighWatermark
	}
	if total != 50 {
		t.Errorf("%d records in the new topic, want 50", total)
	}
}

func TestDeniedComesBackAtOnceAsErrAuth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault kfake.Fault
		text  string // part of the error
	}{
		{"topic", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1},
			"Topic Authorization Failed"},
		{"producer id", kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ClusterAuthorizationFailed, Count: -1},
			"enable_idempotence"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 1)
			p := b.producer(produce.Options{}, nil)
			f := b.fake.Fault(test.fault)
			if err := send(t, p, within(t, 5*time.Second), "a", "x"); !errors.Is(err, kafka.ErrAuth) ||
				!strings.Contains(err.Error(), test.text) {
				t.Errorf("err = %v, want ErrAuth with %q", err, test.text)
			}
			f.Remove()
			if err := send(t, p, within(t, 5*time.Second), "a", "y"); err != nil {
				t.Errorf("after the rights were mended: %v", err)
			}
		})
	}
}

func TestFlushReturnsWhenEverythingBeforeItHasItsOutcome(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 3)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Linger = time.Hour; s.MaxBatchSize = 2000 })
	for round := range 20 {
		promises := make([]produce.Promise, 100)
		for i := range promises {
			key := ""
			if i%2 == 0 {
				key = fmt.Sprint(i)
			}
			p.Produce(t.Context(), record("a", key, value(i)), false, &promises[i])
		}
		if err := p.Flush(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		for i := range promises {
			if partition, _ := promises[i].Position(); partition < 0 {
				t.Fatalf("round %d: record %d is not resolved after Flush: %v", round, i, promises[i].Err())
			}
		}
	}
	if s := p.Stats(); s.Records != 0 || s.Bytes != 0 || s.Sent != 2000 {
		t.Errorf("after Flush: %+v", s)
	}
}

// Goroutines that produce to the same few partitions wait for no lock, each key keeps its order, and a Flush after its
// last record waits for all of a goroutine.
func TestManyGoroutinesKeepTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 2000
	b := newBench(t)
	b.topic("a", 2)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.MaxBatchSize = 10_000 })
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			promises := make([]produce.Promise, 2*each)
			for i := range each {
				p.Produce(t.Context(), record("a", fmt.Sprint(g), value(i)), i%100 == 0, &promises[i])
				p.Produce(t.Context(), record("a", "", "unkeyed"), false, &promises[each+i])
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			for i := range promises {
				if partition, _ := promises[i].Position(); partition < 0 {
					t.Errorf("record %d of goroutine %d has no place after Flush: %v", i, g, promises[i].Err())
				}
			}
		})
	}
	all.Wait()
	seen, unkeyed := map[string]int{}, 0
	for _, records := range b.read("a") {
		for _, r := range records {
			if r.Key == nil {
				unkeyed++
				continue
			}
			if want := value(seen[string(r.Key)]); string(r.Value) != want {
				t.Fatalf("goroutine %s: %s, want %s", r.Key, r.Value, want)
			}
			seen[string(r.Key)]++
		}
	}
	if len(seen) != goroutines || unkeyed != 1+goroutines*each {
		t.Errorf("%d keys and %d records without one, want %d and %d", len(seen), unkeyed, goroutines, 1+goroutines*each)
	}
}

func TestAMovedLeaderIsFoundHoweverOldMetadataMayBe(t *testing.T) {
	t.Parallel()
	b := newBench(t, kfake.NumBrokers(2))
	b.topic("a", 1)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.MetadataMaxAge = time.Hour })
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	if err := b.fake.MoveTopicPartition("a", 0, 1-b.fake.LeaderFor("a", 0)); err != nil {
		t.Fatal(err)
	}
	if err := send(t, p, within(t, 5*time.Second), "a", "second"); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutIdempotenceBatchesHaveNoID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Acks, s.Idempotent = kafka.AcksLeader, false })
	asked := b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Observe: true, Count: -1})
	if err := send(t, p, t.Context(), "a", "x"); err != nil {
		t.Fatal(err)
	}
	if asked.Hits() > 0 {
		t.Error("a producer id was asked for")
	}
}

func TestSendNowAndFlushDoNotMakeBatchesSmall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Linger = time.Hour })
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	b.net.hang() // everything queues behind one request
	var blocker produce.Promise
	p.Produce(t.Context(), record("a", "", "blocker"), true, &blocker)
	testkit.Until(t, "the partition is busy", func() bool { return p.Stats().InFlight == 1 })
	const n = 300
	promises := make([]produce.Promise, n)
	for i := range promises {
		p.Produce(t.Context(), record("a", "", value(i)), false, &promises[i])
		if i%2 == 0 {
			p.SendNow()
		} else {
			_ = p.Flush(within(t, 0))
		}
	}
	before := p.Stats().Requests
	b.net.heal()
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatal(err)
		}
	}
	if requests := p.Stats().Requests - before; requests > 2 {
		t.Errorf("%d requests for %d records that waited together", requests, n)
	}
}
