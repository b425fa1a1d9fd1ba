package produce_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// Each way in which a record fails says whether the record may be on the broker. Where it says no, the record is not
// there later either.
func TestEveryFailureSaysWhetherTheRecordMayBeWritten(t *testing.T) {
	t.Parallel()
	answers := func(code *kerr.Error) func(*bench) func() {
		return func(b *bench) func() {
			return b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: code, Count: -1}).Remove
		}
	}
	hang := func(b *bench) func() { b.net.hang(); return b.net.heal }
	for _, test := range []struct {
		name     string
		linger   time.Duration
		breaks   func(*bench) (repair func())
		record   produce.Record                  // defaults to a small one of topic a
		deadline time.Duration                   // of the record, instead of a context that ends
		end      func(*bench, *produce.Producer) // defaults to the context's end after it was sent and failed
		want     error
		maybe    bool
	}{
		{name: "too large", record: produce.Record{Topic: "a", Value: make([]byte, 2<<20)}, want: kafka.ErrTooLarge},
		{name: "lingers", linger: time.Hour, want: context.Canceled},
		{name: "deadline while it lingers", linger: time.Hour, deadline: 50 * time.Millisecond, want: os.ErrDeadlineExceeded},
		{name: "topic is not ready", record: produce.Record{Topic: "missing"}, want: context.Canceled},
		{name: "denied", breaks: answers(kerr.TopicAuthorizationFailed), want: kafka.ErrAuth},
		{name: "too large for the broker", breaks: answers(kerr.MessageTooLarge), want: kafka.ErrTooLarge},
		{name: "too few replicas", breaks: answers(kerr.NotEnoughReplicas), want: context.Canceled},
		{name: "no leader on the broker", breaks: answers(kerr.UnknownTopicOrPartition), want: context.Canceled},
		{name: "hung", breaks: hang, want: context.Canceled, maybe: true},
		{name: "deadline while it hangs", breaks: hang, deadline: 50 * time.Millisecond, want: os.ErrDeadlineExceeded,
			maybe: true},
		{name: "too few replicas after append", breaks: answers(kerr.NotEnoughReplicasAfterAppend), want: context.Canceled,
			maybe: true},
		{name: "timed out at the broker", breaks: answers(kerr.RequestTimedOut), want: context.Canceled, maybe: true},
		{name: "leader stepped down", breaks: answers(kerr.NotLeaderForPartition), want: context.Canceled, maybe: true},
		{name: "connection lost", breaks: func(b *bench) func() {
			b.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				b.fake.KeepControl()
				return nil, errors.New("cut by the test"), true
			})
			return func() {}
		},
			want: context.Canceled, maybe: true},
		{name: "closed", breaks: hang, want: kafka.ErrClosed, maybe: true,
			end: func(b *bench, p *produce.Producer) {
				testkit.Until(b.t, "the request is on its way", func() bool { return p.Stats().InFlight > 0 })
				_ = p.Close(within(b.t, 0))
			}},
		{name: "closed before it was sent", breaks: answers(kerr.NotEnoughReplicas), want: kafka.ErrClosed,
			end: func(b *bench, p *produce.Producer) {
				testkit.Until(b.t, "it was refused", func() bool { s := p.Stats(); return s.Requests > 1 && s.InFlight == 0 })
				_ = p.Close(within(b.t, 0))
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 1)
			p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Linger = test.linger })
			if err := send(t, p, t.Context(), "a", "first"); err != nil {
				t.Fatal(err)
			}
			repair := func() {}
			if test.breaks != nil {
				repair = test.breaks(b)
			}
			r := test.record
			if r.Topic == "" {
				r = record("a", "", "second")
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.deadline > 0 {
				r.Deadline = time.Now().Add(test.deadline)
			}
			var promise produce.Promise
			before := p.Stats().Requests
			p.Produce(ctx, r, test.linger == 0, &promise)
			switch {
			case test.end != nil:
				test.end(b, p)
			case test.deadline == 0:
				if test.breaks != nil {
					testkit.Until(t, "it was sent", func() bool { return p.Stats().Requests > before })
					testkit.Until(t, "it failed, or waits", func() bool {
						return test.name == "hung" || p.Health() != nil || p.Stats().Records == 0
					})
				}
				cancel()
				p.Expire(&promise)
			}
			err := wait(t, &promise)
			if !errors.Is(err, test.want) || errors.Is(err, produce.ErrUnacknowledged) != test.maybe {
				t.Errorf("err = %v; want %v, and that the record may be written: %t", err, test.want, test.maybe)
			}
			if test.maybe || errors.Is(err, kafka.ErrClosed) {
				return
			}
			repair()
			if err := p.Flush(within(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			if seen := b.values("a"); seen["second"] != 0 {
				t.Errorf("it is there all the same: %v", seen)
			}
		})
	}
}

// A record that cannot be sent is taken back, and the error names the address of the broker and why it cannot be
// reached.
func TestABrokerThatCannotBeReachedIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := away.Addr().(*net.TCPAddr)
	away.Close()
	b.fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.fake.KeepControl()
		m := r.ResponseKind().(*kmsg.MetadataResponse)
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port = 0, "127.0.0.1", int32(address.Port)
		m.Brokers = append(m.Brokers, broker)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("a")
		topic.Partitions = append(topic.Partitions, kmsg.NewMetadataResponseTopicPartition())
		m.Topics = append(m.Topics, topic)
		return m, nil, true
	})
	p := b.producer(produce.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var promise produce.Promise
	p.Produce(ctx, record("a", "", "x"), true, &promise)
	testkit.Until(t, "the broker was not reached", func() bool { return p.Health() != nil && p.Stats().Retries > 0 })
	health := p.Health()
	cancel()
	err = wait(t, &promise)
	if !errors.Is(err, context.Canceled) || errors.Is(err, produce.ErrUnacknowledged) {
		t.Errorf("err = %v, want one of a record that was not sent", err)
	}
	for _, err := range []error{err, health} {
		for _, part := range []string{address.String(), "connection refused", "advertised.listeners"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v\ndoes not name %q", err, part)
			}
		}
	}
}
