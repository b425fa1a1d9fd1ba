package tail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// TestFromEnd sees what is written from now on: of the topics that exist, and of new ones all, within two
// seconds.
func TestFromEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.create("old", 2)
	b.write(old, 0, "before")
	b.write(old, 1, "before")
	r := b.follow(tail.Options{})
	b.write(old, 0, "after")
	r.expect(5*time.Second, "after")
	for i := range 3 {
		created := b.create(fmt.Sprintf("new%d", i), 3)
		for p := range int32(3) {
			b.writeAt(created, p, time.UnixMilli(1000), "first") // long before the tail began, by its timestamp
		}
		r.expect(2*time.Second, "first", "first", "first")
	}
	b.write(old, 1, "last")
	r.expect(5*time.Second, "last")
}

// TestNothingMatches waits for a topic that matches.
func TestNothingMatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.follow(tail.Options{From: tail.First})
	created := b.create("new", 1)
	b.write(created, 0, "a")
	r.expect(5*time.Second, "a")
}

func TestStopAtEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got := b.all(tail.Options{From: tail.First}); got != nil {
		t.Errorf("nothing matches: %q", got)
	}
	one, two := b.create("one", 3), b.create("two", 1)
	b.create("empty", 5)
	if got := b.all(tail.Options{From: tail.First}); got != nil {
		t.Errorf("all are empty: %q", got)
	}
	for i := range 3 {
		for v := range 5 {
			b.writeAt(one, int32(i), time.UnixMilli(int64(1000*v)), fmt.Sprintf("%d.%d", i, v))
		}
	}
	b.writeAt(two, 0, time.UnixMilli(2500), "two")
	tests := []struct {
		name    string
		o       tail.Options
		want    []string
		ordered bool
	}{
		{"first", tail.Options{From: tail.First}, []string{"0.0", "0.1", "0.2", "0.3", "0.4", "1.0", "1.1", "1.2", "1.3",
			"1.4", "2.0", "2.1", "2.2", "2.3", "2.4", "two"}, false},
		{"one topic", tail.Options{From: tail.First, Match: func(name string) bool {
			return name == two
		}}, []string{"two"}, false},
		{"end", tail.Options{From: tail.End}, nil, false},
		{"time", tail.Options{From: tail.Time, Time: time.UnixMilli(2500)}, []string{"0.3", "0.4", "1.3", "1.4", "2.3", "2.4",
			"two"}, false},
		{"time, not a whole millisecond", tail.Options{From: tail.Time, Time: time.UnixMilli(3000).Add(time.Nanosecond)},
			[]string{"0.4", "1.4", "2.4"}, false},
		{"time behind all", tail.Options{From: tail.Time, Time: time.UnixMilli(9000)}, nil, false},
		{"zero time", tail.Options{From: tail.Time, Match: func(name string) bool {
			return name == two
		}}, []string{"two"}, false},
		{"last 1", tail.Options{From: tail.Last, Last: 1}, []string{"2.4"}, true},
		{"last 8", tail.Options{From: tail.Last, Last: 8}, []string{"2.2", "two", "0.3", "1.3", "2.3", "0.4", "1.4", "2.4"},
			true},
		{"last 100", tail.Options{From: tail.Last, Last: 100}, []string{"0.0", "1.0", "2.0", "0.1", "1.1", "2.1", "0.2",
			"1.2", "2.2", "two", "0.3", "1.3", "2.3", "0.4", "1.4", "2.4"}, true},
		{"last 0", tail.Options{From: tail.Last}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := b.all(tt.o)
			if !tt.ordered {
				slices.Sort(got)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLastThenFollow goes on without a gap and without a repetition.
func TestLastThenFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 2)
	for i := range 20 {
		b.writeAt(topic, int32(i%2), time.UnixMilli(int64(1000+i)), fmt.Sprint(i))
	}
	r := b.follow(tail.Options{From: tail.Last, Last: 3})
	r.expect(5*time.Second, "17", "18", "19")
	b.write(topic, 0, "20")
	r.expect(5*time.Second, "20")
}

// TestLastBehindMarkers finds records that lie further back than their number says, behind the markers of
// transactions and aborted records.
func TestLastBehindMarkers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 1)
	b.write(topic, 0, "a", "b", "c", "d")
	p := b.newProducer(kgo.TransactionalID(topic))
	for range 20 {
		b.transaction(p, topic, kgo.TryAbort, "aborted")
	}
	b.transaction(p, topic, kgo.TryCommit, "e")
	if diff := cmp.Diff([]string{"c", "d", "e"}, b.all(tail.Options{From: tail.Last, Last: 3})); diff != "" {
		t.Error(diff)
	}
	b.transaction(p, topic, kgo.TryAbort, "aborted") // the end is a marker: nothing is waited for
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, b.all(tail.Options{From: tail.First})); diff != "" {
		t.Error(diff)
	}
}

// transaction writes a value in a transaction, and returns when its marker is written, which comes after
// the coordinator's answer.
func (b *bench) transaction(p *kgo.Client, topic string, end kgo.TransactionEndTry, value string) {
	b.t.Helper()
	if err := p.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	r, err := p.ProduceSync(b.t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).First()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := p.EndTransaction(b.t.Context(), end); err != nil {
		b.t.Fatal(err)
	}
	tp := kafka.TopicPartition{Topic: topic}
	testkit.Until(b.t, "the transaction's marker is written", func() bool {
		ends, err := b.client.ListOffsets(b.t.Context(), []kafka.TopicPartition{tp}, kafka.EndOffset)
		if err != nil {
			b.t.Fatal(err)
		}
		return ends[tp] > r.Offset+1
	})
}

// TestRecreatedTopic reads a topic that was deleted and made again from its first record.
func TestRecreatedTopic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 1)
	b.write(topic, 0, "a", "b", "c")
	log := newCounter()
	r := b.follow(tail.Options{From: tail.First, Logger: slog.New(log)})
	r.expect(5*time.Second, "a", "b", "c")
	gone := func() int { return log.count("tail: topic is gone") }
	before := gone()
	b.remove(topic)
	if !b.cluster.IsReal() { // a real one takes its time to delete
		b.recreate("topic")
		b.write(topic, 0, "d")
		r.expect(10*time.Second, "d")
		before = gone()
		b.remove(topic)
	}
	testkit.Until(t, "the tail has noticed that the topic is gone", func() bool { return gone() > before })
	b.recreate("topic")
	b.write(topic, 0, "e", "f", "g", "h", "i")
	r.expect(10*time.Second, "e", "f", "g", "h", "i")
}

// recreate creates a topic of a name that has been used, and a producer that does not remember it.
func (b *bench) recreate(name string) {
	b.t.Helper()
	b.create(name, 1)
	b.producer = b.newProducer()
}

// counter is a log that counts its lines by their message.
type counter struct {
	slog.Handler
	mu    sync.Mutex
	lines map[string]int
}

func newCounter() *counter {
	return &counter{Handler: slog.DiscardHandler, lines: make(map[string]int)}
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[r.Message]++
	return nil
}

func (c *counter) count(message string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[message]
}

// TestMorePartitions reads partitions that a topic gets later from their first record.
func TestMorePartitions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 1)
	r := b.follow(tail.Options{})
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 5000
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, 3
	req.Topics = append(req.Topics, rt)
	if _, err := req.RequestWith(t.Context(), b.producer); err != nil {
		t.Fatal(err)
	}
	late := b.newProducer(kgo.MetadataMinAge(10 * time.Millisecond))
	for {
		if err := late.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 2,
			Value: []byte("a")}).FirstErr(); err == nil {
			break
		}
		late.ForceMetadataRefresh()
	}
	r.expect(5*time.Second, "a")
}

// TestInternalTopics are never asked about.
func TestInternalTopics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 1)
	b.write(topic, 0, "a")
	b.transaction(b.newProducer(kgo.TransactionalID(topic)), topic, kgo.TryCommit, "b")
	got := b.all(tail.Options{From: tail.First, Match: func(name string) bool {
		if strings.HasPrefix(name, "__") {
			t.Errorf("asked about %s", name)
		}
		return name == topic
	}})
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestNoGroup leaves no group behind.
func TestNoGroup(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	topic := b.create("topic", 2)
	b.write(topic, 0, "a")
	b.all(tail.Options{From: tail.First})
	r := b.follow(tail.Options{})
	b.write(topic, 0, "b")
	r.expect(5*time.Second, "b")
	res, err := kmsg.NewPtrListGroupsRequest().RequestWith(t.Context(), b.producer)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Groups) > 0 {
		t.Errorf("groups %+v", res.Groups)
	}
}

// TestEnds has a tail end by its context, and by leaving the loop.
func TestEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.create("topic", 1)
	b.write(topic, 0, "a", "b")
	seq := tail.Run(t.Context(), b.client, tail.Options{Match: b.match, From: tail.First})
	for range 2 { // it begins anew
		for c, err := range seq {
			if err != nil || string(c.Records[0].Value) != "a" {
				t.Fatal(c, err)
			}
			break
		}
	}
	cause := errors.New("my cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var last error
	for _, err := range tail.Run(ctx, b.client, tail.Options{Match: b.match, From: tail.First}) {
		cancel(cause)
		last = err
	}
	if !errors.Is(last, cause) {
		t.Errorf("ended with %v", last)
	}
}

// TestUnreachable tries until the context ends, and says what was wrong.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	c, err := kafka.NewClient([]string{"127.0.0.1:1"}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	n := 0
	for _, err := range tail.Run(ctx, c, tail.Options{Match: func(string) bool { return true }}) {
		n++
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}
