package tail_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestAllDenied ends a tail that may read nothing of what it matches, after an error for each partition.
func TestAllDenied(t *testing.T) {
	t.Parallel()
	for _, stop := range []bool{false, true} {
		t.Run(fmt.Sprintf("StopAtEnd=%v", stop), func(t *testing.T) {
			t.Parallel()
			b := setup(t, embedded())
			topic := b.create("topic", 2)
			b.write(topic, 0, "a")
			b.write(topic, 1, "b")
			b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic,
				Err: kerr.TopicAuthorizationFailed, Count: -1})
			n := 0
			for _, err := range tail.Run(t.Context(), b.client, tail.Options{Match: b.match, From: tail.First,
				StopAtEnd: stop}) {
				n++
				bad, ok := errors.AsType[*fetch.PartitionError](err)
				if !ok || bad.Topic != topic || !errors.Is(err, kafka.ErrAuth) {
					t.Errorf("got %v", err)
				}
			}
			if n != 2 {
				t.Errorf("%d errors", n)
			}
		})
	}
}

// TestRefused ends at once when the brokers do not know us.
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n := 0
	for _, err := range tail.Run(ctx, c, tail.Options{Match: func(string) bool { return true }}) {
		n++
		if !errors.Is(err, kafka.ErrAuth) {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}

// TestBrokersAway has a tail wait for a cluster that goes and comes back: everything comes, once.
func TestBrokersAway(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	if !b.cluster.CanKill() {
		t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
	topic := b.create("topic", 3)
	r := b.follow(tail.Options{})
	var want []string
	for round := range 2 {
		for i := range 30 {
			v := fmt.Sprintf("%d.%d", round, i)
			b.write(topic, int32(i%3), v)
			want = append(want, v)
		}
		if round == 0 {
			b.cluster.Kill(0)
			b.cluster.Restart(0)
		}
	}
	r.expect(30*time.Second, want...)
}

// TestDeletedWhileRead does not wait for the records of a topic that is deleted under it, and says that they are
// missing.
func TestDeletedWhileRead(t *testing.T) {
	t.Parallel()
	b := setup(t, embedded())
	topic := b.create("topic", 1)
	b.write(topic, 0, "a")
	asked := make(chan struct{})
	fake, first := b.cluster.Fake(), true
	fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if first {
			first = false
			close(asked)
		}
		return nil, errors.New("cut"), true
	})
	go func() {
		<-asked
		_ = fake.DeleteTopic(topic)
	}()
	var errs []error
	for c, err := range tail.Run(t.Context(), b.client, tail.Options{Match: b.match, From: tail.First, StopAtEnd: true}) {
		if c != nil {
			t.Errorf("got %v", c)
		}
		errs = append(errs, err)
	}
	bad, ok := errors.AsType[*fetch.PartitionError](errors.Join(errs...))
	if !ok || len(errs) != 1 || !errors.Is(bad, tail.ErrDeleted) || bad.Topic != topic || bad.Offset != 0 ||
		bad.Next != -1 {
		t.Errorf("got %v", errs)
	}
}

// TestARefusedLookUpHoldsBackNobody follows a topic with one partition that cannot be looked up until the other has
// been read.
func TestARefusedLookUpHoldsBackNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, embedded())
	topic := b.create("topic", 2)
	b.write(topic, 0, "a")
	b.write(topic, 1, "b")
	fault := b.cluster.Fake().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: -1,
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []int32
	for chunk, err := range tail.Run(ctx, b.client, tail.Options{Match: b.match, From: tail.First}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, chunk.Partition)
		fault.Remove()
		if len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("partitions came as %v", got)
	}
}
