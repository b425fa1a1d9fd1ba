package produce_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// checkOrder fails when a key's records are not exactly 0..n-1 in order, in one partition.
func checkOrder(t *testing.T, records map[int32][]*kgo.Record, keys, n int) {
	t.Helper()
	next := map[string]int{}
	for partition, rs := range records {
		for _, r := range rs {
			key := string(r.Key)
			if want := value(next[key]); string(r.Value) != want {
				t.Fatalf("partition %d, key %s: %s where %s was due", partition, key, r.Value, want)
			}
			next[key]++
		}
	}
	if len(next) != keys {
		t.Errorf("%d keys, want %d", len(next), keys)
	}
	for key, got := range next {
		if got != n {
			t.Errorf("key %s has %d records, want %d", key, got, n)
		}
	}
}

// produceKeyed writes n records for each key, one goroutine per key, and waits until they are acknowledged.
func produceKeyed(t *testing.T, p *produce.Producer, topic string, keys, n int, during func()) {
	t.Helper()
	promises := make([]produce.Promise, keys*n)
	var wg sync.WaitGroup
	for k := range keys {
		wg.Go(func() {
			for i := range n {
				p.Produce(t.Context(), record(topic, fmt.Sprint("key", k), value(i)), i%50 == 0, &promises[k*n+i])
				if i%100 == 0 {
					<-promises[k*n+i].Done() // so that the faults meet many batches
				}
			}
		})
	}
	if during != nil {
		during()
	}
	wg.Wait()
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

func TestAKeysOrderHoldsUnderEveryRetriableError(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{
		kerr.UnknownServerError, kerr.CorruptMessage, kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable,
		kerr.NotLeaderForPartition,
		kerr.RequestTimedOut, kerr.BrokerNotAvailable, kerr.NetworkException, kerr.CoordinatorLoadInProgress,
		kerr.CoordinatorNotAvailable,
		kerr.NotCoordinator, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError,
		kerr.ListenerNotFound,
		kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.ThrottlingQuotaExceeded,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 3)
			p := b.producer(produce.Options{}, nil)
			var n atomic.Int32
			f := b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e, Count: 6,
				When: func(kmsg.Request) bool { return n.Add(1)%2 == 0 }})
			produceKeyed(t, p, "a", 6, 300, nil)
			checkOrder(t, b.read("a"), 6, 300)
			if f.Hits() == 0 {
				t.Error("no request met the fault")
			}
		})
	}
}

func TestAKeysOrderHoldsWhileLeadersMoveAndAnswersAreLost(t *testing.T) {
	t.Parallel()
	b := newBench(t, kfake.NumBrokers(3))
	b.topic("a", 7)
	p := b.producer(produce.Options{}, nil)
	b.net.loseAnswers(func(int) bool { return rand.IntN(20) == 0 })
	stop := make(chan struct{})
	var mover sync.WaitGroup
	mover.Go(func() {
		for tick := time.NewTicker(150 * time.Millisecond); ; {
			select {
			case <-tick.C:
				b.fake.ShufflePartitionLeaders()
			case <-stop:
				tick.Stop()
				return
			}
		}
	})
	produceKeyed(t, p, "a", 10, 1000, nil)
	close(stop)
	mover.Wait()
	b.net.heal()
	checkOrder(t, b.read("a"), 10, 1000)
	t.Logf("%+v", p.Stats())
}

func TestALostAnswerWritesNoRecordTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 2)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.RetryBackoff = time.Millisecond })
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	b.net.loseAnswers(func(int) bool { return rand.IntN(4) == 0 })
	const n = 150
	for i := range n {
		if err := send(t, p, within(t, 30*time.Second), "a", value(i)); err != nil {
			t.Fatal(err)
		}
	}
	b.net.heal()
	seen := b.values("a")
	for i := range n {
		if seen[value(i)] != 1 {
			t.Errorf("%s is there %d times", value(i), seen[value(i)])
		}
	}
	s := p.Stats()
	if s.Retries == 0 {
		t.Error("no answer was lost: the test shows nothing")
	}
	t.Logf("%d records, %d retries, %d resets", n, s.Retries, s.Resets)
}

func TestWithoutAProducerIDNothingIsSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	var refused atomic.Int32
	b.fake.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.fake.KeepControl()
		if refused.Add(1) > 3 {
			return nil, nil, false
		}
		response := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		response.ErrorCode, response.ProducerID, response.ProducerEpoch = kerr.CoordinatorLoadInProgress.Code, -1, -1
		return response, nil, true
	})
	var ids sync.Map
	b.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.fake.KeepControl()
		for _, topic := range r.(*kmsg.ProduceRequest).Topics {
			for _, partition := range topic.Partitions {
				ids.Store(int64(binary.BigEndian.Uint64(partition.Records[43:])), true)
			}
		}
		return nil, nil, false
	})
	p := b.producer(produce.Options{}, nil)
	if err := send(t, p, within(t, 10*time.Second), "a", "x"); err != nil {
		t.Fatal(err)
	}
	if refused.Load() != 4 {
		t.Errorf("the id was asked for %d times, want 4", refused.Load())
	}
	ids.Range(func(id, _ any) bool {
		if id.(int64) < 0 {
			t.Errorf("a batch was sent with the id %d", id)
		}
		return true
	})
}

func TestTheFirstPublishAfterAllConnectionsDiedSucceeds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 8)
	p := b.producer(produce.Options{}, nil)
	for range 3 {
		promises := make([]produce.Promise, 400)
		for i := range promises { // several requests at once: several pooled connections
			p.Produce(t.Context(), record("a", fmt.Sprint(i), value(i)), true, &promises[i])
		}
		for i := range promises {
			if err := wait(t, &promises[i]); err != nil {
				t.Fatal(err)
			}
		}
		b.net.cut()
		start := time.Now()
		if err := send(t, p, within(t, 5*time.Second), "a", "after"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("took %s", d)
		}
	}
}

func TestAForgottenSequenceStartsAnewWithAnotherID(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 2)
			p := b.producer(produce.Options{}, nil)
			if err := send(t, p, t.Context(), "a", "first"); err != nil {
				t.Fatal(err)
			}
			b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e, Count: 2})
			produceKeyed(t, p, "a", 4, 300, nil)
			records := b.read("a")
			for partition, rs := range records { // the first record has no key
				if len(rs) > 0 && rs[0].Key == nil {
					records[partition] = rs[1:]
				}
			}
			checkOrder(t, records, 4, 300)
			if s := p.Stats(); s.Resets == 0 {
				t.Errorf("no reset: %+v", s)
			}
		})
	}
}

func TestADuplicateSequenceIsASuccess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, nil)
	b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.DuplicateSequenceNumber})
	var promise produce.Promise
	p.Produce(t.Context(), record("a", "", "x"), true, &promise)
	if err := wait(t, &promise); err != nil {
		t.Fatal(err)
	}
	if partition, offset := promise.Position(); partition != 0 || offset != -1 {
		t.Errorf("placed at %d/%d, want 0/-1: the broker did not say where", partition, offset)
	}
}

func TestOneBadRecordFailsAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		code  *kerr.Error
		named bool // the broker says which records it means
		want  error
	}{
		{"too large", kerr.MessageTooLarge, false, kafka.ErrTooLarge},
		{"invalid", kerr.InvalidRecord, false, kafka.CodeError(kerr.InvalidRecord.Code)},
		{"invalid and named", kerr.InvalidRecord, true, kafka.CodeError(kerr.InvalidRecord.Code)},
		{"an unknown error that stays", kerr.UnknownServerError, false, kafka.CodeError(kerr.UnknownServerError.Code)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 1)
			b.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				b.fake.KeepControl()
				return refuse(r.(*kmsg.ProduceRequest), "bad", test.code, test.named)
			})
			// A pause of milliseconds: the unknown error is tried ten times for each piece.
			p := b.producer(produce.Options{}, func(s *kafka.Settings) {
				s.Linger = time.Hour
				s.RetryBackoff = time.Microsecond
			})
			const n = 40
			promises := make([]produce.Promise, n)
			for i := range promises {
				v := value(i)
				if i == 7 || i == 23 {
					v = "bad"
				}
				p.Produce(t.Context(), record("a", "k", v), false, &promises[i])
			}
			if err := p.Flush(within(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			for i := range promises {
				err := promises[i].Err()
				if bad := i == 7 || i == 23; bad != (err != nil) {
					t.Errorf("record %d: %v", i, err)
				} else if bad && !errors.Is(err, test.want) {
					t.Errorf("record %d: %v, want %v", i, err, test.want)
				}
			}
			last := ""
			records := b.read("a")[0]
			for _, r := range records {
				if string(r.Value) <= last {
					t.Errorf("%s after %s", r.Value, last)
				}
				last = string(r.Value)
			}
			if len(records) != n-2 {
				t.Errorf("%d records, want %d", len(records), n-2)
			}
			if s := p.Stats(); s.Records != 0 || s.Bytes != 0 || s.Sent != n-2 || s.Failed != 2 {
				t.Errorf("counts do not add up: %+v", s)
			}
		})
	}
}

// refuse answers a request that has the marked value in it with a code, and lets others pass.
func refuse(r *kmsg.ProduceRequest, mark string, code *kerr.Error, named bool) (kmsg.Response, error, bool) {
	response := r.ResponseKind().(*kmsg.ProduceResponse)
	refused := false
	for _, topic := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = topic.Topic
		for _, partition := range topic.Partitions {
			var batch kmsg.RecordBatch
			if err := batch.ReadFrom(partition.Records); err != nil {
				return nil, err, true
			}
			records, err := kfake.BatchRecords(batch)
			if err != nil {
				return nil, err, true
			}
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = partition.Partition, code.Code
			for i, record := range records {
				if string(record.Value) != mark {
					continue
				}
				refused = true
				if named {
					e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
					e.RelativeOffset = int32(i)
					rp.ErrorRecords = append(rp.ErrorRecords, e)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		response.Topics = append(response.Topics, rt)
	}
	return response, nil, refused
}

func TestABrokerThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newBench(t, kfake.DataDir(dir))
	first.topic("a", 2)
	addr := first.fake.ListenAddrs()
	p := first.producer(produce.Options{}, nil)
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	first.fake.Close()
	promises := make([]produce.Promise, 100)
	for i := range promises {
		p.Produce(t.Context(), record("a", fmt.Sprint(i), value(i)), true, &promises[i])
	}
	if err := send(t, p, within(t, 300*time.Millisecond), "a", "lost"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the context's", err)
	}
	if p.Health() == nil {
		t.Error("healthy without a broker")
	}
	var port int
	if _, err := fmt.Sscanf(addr[0][strings.LastIndexByte(addr[0], ':')+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	second := newBench(t, kfake.DataDir(dir), kfake.Ports(port))
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatal(err)
		}
	}
	seen := second.values("a")
	for i := range promises {
		if seen[value(i)] != 1 {
			t.Errorf("%s is there %d times", value(i), seen[value(i)])
		}
	}
	testkit.Until(t, "healthy again", func() bool { return p.Health() == nil })
}

// Each request that a publish needs fails, with each error that passes, and loses its connection; each a few times.
func TestAPublishSucceedsThoughEveryAPIFailsAtFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  kmsg.Key
		errs []*kerr.Error // none: only the connection is lost
	}{
		{kmsg.ApiVersions, nil},
		{kmsg.Metadata, []*kerr.Error{kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.UnknownServerError}},
		{kmsg.CreateTopics, []*kerr.Error{kerr.NotController, kerr.RequestTimedOut, kerr.ThrottlingQuotaExceeded,
			kerr.UnknownServerError, kerr.TopicAlreadyExists}},
		{kmsg.InitProducerID, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
			kerr.ConcurrentTransactions, kerr.UnknownServerError}},
		// all: the test above
		{kmsg.Produce, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas}},
	}
	for _, test := range tests {
		for _, e := range append(test.errs, nil) {
			what := "CONNECTION_LOST"
			if e != nil {
				what = e.Message
			}
			t.Run(test.key.Name()+" "+what, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, kfake.NumBrokers(2))
				var hits func() int64
				if e != nil {
					f := b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Err: e, Count: 2})
					hits = func() int64 { return int64(f.Hits()) }
				} else {
					var n atomic.Int64
					b.fake.ControlKey(int16(test.key), func(kmsg.Request) (kmsg.Response, error, bool) {
						b.fake.KeepControl()
						if n.Add(1) <= 2 {
							return nil, errors.New("lost"), true
						}
						return nil, nil, false
					})
					hits = n.Load
				}
				p := b.producer(produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
					return b.client.EnsureTopic(ctx, topic, kafka.TopicSpec{})
				}}, nil)
				produceKeyed(t, p, "a", 5, 101, nil)
				checkOrder(t, b.read("a"), 5, 101)
				if hits() == 0 {
					t.Error("no request met the fault")
				}
			})
		}
	}
}
