package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestDenied stops the topic that we may not read, and says so.
func TestDenied(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, embedded())
	b.produce(b.producer, &kgo.Record{Partition: 1, Value: []byte("b")})
	b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: b.topic, Partitions: []int32{0},
		Err: kerr.TopicAuthorizationFailed, Count: -1})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	f.Add(b.part(1), 0)
	got := b.read(f, func(s *seen) bool { return len(s.errs) > 0 && len(s.values[1]) > 0 })
	bad, ok := errors.AsType[*fetch.PartitionError](got.errs[0])
	if !ok || len(got.errs) != 1 || bad.Next != -1 || bad.Partition != 0 || !errors.Is(bad, kafka.ErrAuth) {
		t.Errorf("got %v", got.errs)
	}
}

// TestRefused has the brokers not know us: an error that says so, and the Fetcher goes on trying.
func TestRefused(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Kfake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "me", "right")))
	// The fake broker closes the connection on a wrong password; a real one answers with this code.
	cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SASLAuthenticate}, TopLevel: true,
		Err: kerr.SaslAuthenticationFailed, Count: -1})
	s := kafka.DefaultSettings()
	s.SecurityProtocol, s.SASLUsername, s.SASLPassword = kafka.SASLPlaintext, "me", kafka.NewSecret("wrong")
	c, err := kafka.NewClient(cluster.Servers(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := fetch.New(c, fetch.Options{})
	defer f.Close()
	f.Add(kafka.TopicPartition{Topic: "any"}, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = f.Next(ctx)
	if refused, ok := errors.AsType[*fetch.BrokerError](err); !ok || !errors.Is(err, kafka.ErrAuth) ||
		refused.Broker != -1 {
		t.Errorf("got %v", err)
	}
	if _, err := f.Next(shortly(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("then %v", err)
	}
}

// TestLeaderMoves has leaders go back and forth under load: nothing is lost, nothing comes twice.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	const partitions, each = 4, 600
	b := setup(t, partitions, kafkatest.Nodes(3), embedded())
	f := b.fetcher(fetch.Options{})
	for id := range int32(partitions) {
		f.Add(b.part(id), 0)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range each {
			for id := range int32(partitions) {
				if err := b.producer.ProduceSync(t.Context(),
					&kgo.Record{Partition: id, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
					t.Error(err)
					return
				}
			}
			if i%100 == 50 {
				for id := range int32(partitions) {
					if err := b.cluster.Fake().MoveTopicPartition(b.topic, id, (id+int32(i)/100)%3); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
	got := b.read(f, func(s *seen) bool {
		for id := range int32(partitions) {
			if s.next[id] < each {
				return false
			}
		}
		return true
	})
	writer.Wait()
	for id := range int32(partitions) {
		for i, v := range got.values[id] {
			if v != fmt.Sprint(i) {
				t.Fatalf("partition %d: record %d is %q", id, i, v)
			}
		}
	}
	if got.errs != nil {
		t.Error(got.errs)
	}
}

// TestBrokerHangs is invariant 14: one broker answers no fetch. The other's partitions go on; its own
// come when it answers again. It takes as long as a fetch may take.
func TestBrokerHangs(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, kafkatest.Nodes(2), embedded())
	fake := b.cluster.Fake()
	for id := range int32(2) {
		if err := fake.MoveTopicPartition(b.topic, id, id); err != nil {
			t.Fatal(err)
		}
	}
	b.produce(b.producer, &kgo.Record{Partition: 0, Value: []byte("a")}, &kgo.Record{Partition: 1, Value: []byte("b")})
	hung := make(chan struct{}, 1)
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if fake.CurrentNode() != 0 || !slices.Contains(partitionsOf(r.(*kmsg.FetchRequest), make(map[int32]bool)), 0) {
			return nil, nil, false
		}
		hung <- struct{}{}
		return nil, nil, true // read, and never answered; once
	})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	f.Add(b.part(1), 0)
	got := b.read(f, func(s *seen) bool { return len(s.values[1]) > 0 })
	<-hung
	if len(got.values[0]) > 0 {
		t.Error("the hung broker answered")
	}
	b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 })
	if n := f.Stats().Failures; n != 1 {
		t.Errorf("%d failures", n)
	}
}

// TestConnectionsCut closes connections in the middle of fetches: nothing is lost, nothing comes twice.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	const total = 50
	for i := range total {
		b.produce(b.producer, &kgo.Record{Value: fmt.Append(nil, i)})
	}
	fake, n := b.cluster.Fake(), 0
	fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		n++
		return nil, errors.New("cut"), n <= 3
	})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	got := b.read(f, nextIs(total))
	if len(got.values[0]) != total || got.errs != nil {
		t.Errorf("%d records, %v", len(got.values[0]), got.errs)
	}
}
