package produce_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// The topic is deleted while a batch is on its way, and may not be created anew: the batch fails as those behind it do,
// and nobody asks for the topic in a loop.
func TestARecordOfATopicThatMayNotBeCreatedAnewFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	var calls atomic.Int32
	p := b.producer(produce.Options{EnsureTopic: func(context.Context, string) error {
		if calls.Add(1) == 1 {
			return nil
		}
		return kafka.CodeErr(kerr.TopicAuthorizationFailed.Code)
	}}, nil)
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	if err := b.fake.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if err := send(t, p, within(t, 10*time.Second), "a", "second"); !errors.Is(err, kafka.ErrAuth) {
		t.Errorf("err = %v, want ErrAuth", err)
	}
	if n := calls.Load(); n > 5 {
		t.Errorf("asked for the topic %d times", n)
	}
}

// blockedLog is a logger whose sink does not move until the test lets it.
type blockedLog struct {
	slog.Handler
	reached, release chan struct{}
}

func (h blockedLog) Handle(context.Context, slog.Record) error {
	select {
	case h.reached <- struct{}{}:
	default:
	}
	<-h.release
	return nil
}

// Whatever keeps the sender from noticing that it is over: Close must not say that all is well while records are left.
func TestCloseTellsWhatIsLeftThoughTheSenderIsStuck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	log := blockedLog{slog.DiscardHandler, make(chan struct{}, 1), make(chan struct{})}
	defer close(log.release)
	p := b.producer(produce.Options{Logger: slog.New(enabled{log})}, func(s *kafka.Settings) {
		s.RequestTimeout = time.Second
	})
	b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	var promise produce.Promise
	p.Produce(t.Context(), record("a", "", "x"), true, &promise)
	<-log.reached
	err := p.Close(within(t, 100*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "1 records were not delivered") {
		t.Errorf("Close: %v, want that one record was not delivered", err)
	}
	if err := wait(t, &promise); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("the record: %v, want ErrClosed", err)
	}
}

type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }

// A new leader answers "not leader" though the old one has written the batch. If the batch then fails for good, its
// sequence is spent: the next batch must not go under it, or the broker takes it for the first, and acknowledges what
// it never wrote.
func TestARefusedBatchThatMayBeWrittenLeavesItsSequence(t *testing.T) {
	t.Parallel()
	for _, first := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.RequestTimedOut} {
		t.Run(first.Message, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 1)
			p := b.producer(produce.Options{}, nil)
			if err := send(t, p, t.Context(), "a", "first"); err != nil {
				t.Fatal(err)
			}
			var sent atomic.Int32
			b.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				b.fake.KeepControl()
				code := first
				switch sent.Add(1) {
				case 1:
					// Written by the old leader: here by another client of the same identity.
					b.fake.SleepControl(func() { replay(t, b, r.(*kmsg.ProduceRequest)) })
				case 2:
					return nil, nil, false // replay
				case 3:
					code = kerr.TopicAuthorizationFailed
				default:
					return nil, nil, false
				}
				return answer(r.(*kmsg.ProduceRequest), code), nil, true
			})
			if err := send(t, p, within(t, 10*time.Second), "a", "second"); !errors.Is(err, kafka.ErrAuth) || !maybe(err) {
				t.Errorf("second: %v, want ErrAuth, and that it may have been written", err)
			}
			if err := send(t, p, within(t, 10*time.Second), "a", "third"); err != nil {
				t.Fatal(err)
			}
			if seen := b.values("a"); seen["third"] != 1 {
				t.Errorf("third was acknowledged and is there %d times: %v", seen["third"], seen)
			}
		})
	}
}

// answer gives every partition of a request one code.
func answer(r *kmsg.ProduceRequest, code *kerr.Error) kmsg.Response {
	response := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = topic.Topic
		for _, partition := range topic.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = partition.Partition, code.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		response.Topics = append(response.Topics, rt)
	}
	return response
}

// replay sends a request to the broker once more, from elsewhere.
func replay(t *testing.T, b *bench, r *kmsg.ProduceRequest) {
	conn, err := net.Dial("tcp", b.fake.ListenAddrs()[0])
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, r, 1)
	if _, err := conn.Write(frame); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// One partition needs a new producer id and is refused one: the others go on with theirs.
func TestARefusedProducerIDFailsWhoNeedsOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	b.topic("b", 1)
	p := b.producer(produce.Options{}, nil)
	for _, topic := range []string{"a", "b"} {
		if err := send(t, p, t.Context(), topic, "first"); err != nil {
			t.Fatal(err)
		}
	}
	b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	var stopped atomic.Bool
	b.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.fake.KeepControl()
		if request := r.(*kmsg.ProduceRequest); request.Topics[0].Topic == "a" {
			return answer(request, kerr.UnknownProducerID), nil, true
		}
		if stopped.Load() {
			return answer(r.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas), nil, true
		}
		return nil, nil, false
	})
	stopped.Store(true)
	var waits produce.Promise
	p.Produce(t.Context(), record("b", "", "second"), true, &waits)
	testkit.Until(t, "b is unhealthy", func() bool { return p.Health() != nil })
	if err := send(t, p, within(t, 10*time.Second), "a", "second"); !errors.Is(err, kafka.ErrAuth) {
		t.Errorf("a: %v, want ErrAuth", err)
	}
	stopped.Store(false)
	if err := wait(t, &waits); err != nil {
		t.Errorf("b, which has a producer id: %v", err)
	}
}

// With the client's own EnsureTopic, which tries again until its context ends, the reason must come through all the
// same.
func TestWhyATopicIsNotReadyIsKnownWithinSeconds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	client, err := kafka.NewClient([]string{l.Addr().String()}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := produce.New(client, produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
		return client.EnsureTopic(ctx, topic, kafka.TopicSpec{})
	}})
	defer func() { _ = p.Close(within(t, 0)) }()
	err = send(t, p, within(t, 3*time.Second), "a", "x")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "connection refused") {
		t.Errorf("err = %v, want the reason in it", err)
	}
	if p.Stats().Records != 0 {
		t.Error("a record is still held")
	}
}
