package produce

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

func TestSequencesWrapToZero(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		at      int32
		records int
		want    int32
	}{
		{"first", 0, 5, 5},
		{"up to the last", math.MaxInt32 - 5, 5, math.MaxInt32},
		{"past the last", math.MaxInt32 - 1, 5, 3},
		{"exactly", math.MaxInt32, 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := &partition{identity: wire.Producer{ID: 1, Sequence: test.at}}
			if q.advance(test.records); q.identity.Sequence != test.want {
				t.Errorf("sequence = %d, want %d", q.identity.Sequence, test.want)
			}
		})
	}
}

func TestARestampedBatchIsTheSameButForItsIdentity(t *testing.T) {
	t.Parallel()
	var b wire.Builder
	b.Append(1, []byte("k"), []byte("v"), nil)
	first := wire.Producer{ID: 1, Epoch: 2, Sequence: 3}
	encoded, err := b.Seal(first, wire.None)
	if err != nil {
		t.Fatal(err)
	}
	before := string(encoded)
	got, _, err := wire.NextBatch(restamp(encoded, wire.Producer{ID: 1 << 40, Epoch: 7, Sequence: 0}))
	if err != nil {
		t.Fatal(err) // the checksum too
	}
	if got.ProducerID != 1<<40 || got.Epoch != 7 || got.Sequence != 0 || got.Count != 1 {
		t.Errorf("got %+v", got)
	}
	if string(encoded) != before {
		t.Error("the first encoding was changed: an abandoned exchange may still be writing it")
	}
	if string(restamp(restamp(encoded, wire.Producer{ID: 9}), first)) != before {
		t.Error("there and back is not the same")
	}
}

func TestAPromiseIsSeenByAllWhoWait(t *testing.T) {
	t.Parallel()
	for range 200 {
		var p Promise
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				<-p.Done()
				if partition, offset := p.Position(); p.Err() != nil || partition != 3 || offset != 42 {
					t.Errorf("placed at %d/%d, %v", partition, offset, p.Err())
				}
			})
		}
		if partition, offset := p.Position(); partition != -1 || offset != -1 {
			t.Errorf("placed at %d/%d before it was", partition, offset)
		}
		wg.Go(func() { p.acknowledge(3, 42) })
		wg.Wait()
	}
}

// A record that somebody waits for goes at once, but while its leader has another request to answer: then it waits
// for that, or a millisecond.
func TestAnUrgentBatchWaitsForTheRequestBeforeIt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		urgent   bool
		inFlight int
		age      time.Duration
		due      bool
		next     time.Duration
	}{
		{urgent: true, due: true},
		{urgent: true, inFlight: 1, age: urgentLinger / 4, next: urgentLinger * 3 / 4},
		{urgent: true, inFlight: 1, age: urgentLinger, due: true},
		{urgent: true, inFlight: maxInFlight, age: urgentLinger},
		{age: time.Second, next: time.Second},
		{age: 2 * time.Second, due: true},
	} {
		p := &Producer{linger: 2 * time.Second, brokers: map[int32]*broker{0: {inFlight: test.inFlight}}}
		q := &partition{open: &batch{createdAt: now.Add(-test.age), group: newGroup(0)}}
		q.open.urgent.Store(test.urgent)
		a := &schedule{now: now, next: time.Hour}
		if test.next == 0 {
			test.next = time.Hour
		}
		if due := p.sendable(q, q.open, false, a); due != test.due || a.next != test.next {
			t.Errorf("%+v: due %t, the next look in %v", test, due, a.next)
		}
	}
}

// A new batch wakes the sender, unless that looks again before the batch has lingered, or its records can have expired.
func TestANewBatchWakesTheSenderWhereThatWouldLookTooLate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		linger time.Duration
		wakes  time.Duration // from now
		change func(*Producer)
		signal bool
	}{
		{name: "it looks in time", linger: time.Second, wakes: time.Millisecond},
		{name: "it looks after the linger", linger: time.Millisecond, wakes: time.Minute, signal: true},
		{name: "it looks after the next sweep", linger: time.Hour, wakes: time.Minute, signal: true},
		{name: "no linger", wakes: time.Minute, signal: true},
		{name: "Flush waits", linger: time.Second,
			change: func(p *Producer) { p.opened.group.ended.Store(true) }, signal: true},
		{name: "Close waits", linger: time.Second, change: func(p *Producer) { p.closing.Store(true) }, signal: true},
		{name: "a record waits for room", linger: time.Second,
			change: func(p *Producer) { p.quota.setWaiting([]*waiter{{}}) }, signal: true},
	} {
		p := &Producer{linger: test.linger, maxBatch: 1 << 20, wake: make(chan struct{}, 1),
			opened: opened{group: newGroup(0), wakes: time.Now().Add(test.wakes)},
			stores: sync.Pool{New: func() any { return new(store) }}}
		if test.change != nil {
			test.change(p)
		}
		tp := &topic{partitions: []*partition{{}}}
		tp.partitions[0].topic = tp
		tp.setRoutes(1)
		p.addToBatch(tp, &entry{value: []byte("value")}, new(Promise), 100, p.opened.group)
		if signal := len(p.wake) > 0; signal != test.signal {
			t.Errorf("%s: woken %t, want %t", test.name, signal, test.signal)
		}
	}
}

// A batch knows each context of its records, where callers take turns once, and when one of them ends its promises are
// looked through; those that go on stay known.
func TestABatchKnowsTheContextsOfItsRecords(t *testing.T) {
	t.Parallel()
	p := &Producer{started: time.Now(), quota: bufferQuota{maxRecords: 1000, maxBytes: 1 << 20}}
	var contexts [3]context.Context
	var cancels [3]context.CancelFunc
	for i := range contexts {
		contexts[i], cancels[i] = context.WithCancel(t.Context())
	}
	b := &batch{store: new(store), group: newGroup(0)}
	promises := make([]Promise, 300)
	for i := range promises {
		promises[i].ctx = contexts[i%len(contexts)]
		b.add(&entry{value: []byte("value")}, &promises[i], 10)
	}
	if !slices.Equal(b.contexts, contexts[:]) {
		t.Errorf("%d contexts are known, want 3", len(b.contexts))
	}
	q := &partition{topic: &topic{name: "a"}, open: b, fault: fault{err: context.Canceled}}
	for i, cancel := range cancels {
		p.expire(q, b)
		if want := len(promises) - i*100; b.pending != want {
			t.Errorf("%d promises are open when %d contexts have ended, want %d", b.pending, i, want)
		}
		cancel()
	}
	p.expire(q, b)
	if b.pending != 0 || len(b.contexts) != 0 {
		t.Errorf("in the end %d promises are open and %d contexts known, want none", b.pending, len(b.contexts))
	}
}

// unsentProducer returns a Producer that has no sender. It closes when ctx ends.
func unsentProducer(ctx context.Context) *Producer {
	p := &Producer{linger: time.Hour, maxBatch: 1 << 20, maxRecord: 1 << 20, started: time.Now(), ctx: ctx,
		wake: make(chan struct{}, 1), opened: opened{group: newGroup(0)}, quota: bufferQuota{maxRecords: 100,
			maxBytes: 1 << 20},
		stores: sync.Pool{New: func() any { return new(store) }}}
	p.known.Store(&map[string]*topic{})
	return p
}

// Once Close has begun no batch takes a record more, not one that is open and waits for the answer before it.
func TestNoOpenBatchTakesARecordOnceTheProducerCloses(t *testing.T) {
	t.Parallel()
	p := unsentProducer(t.Context())
	tp := &topic{name: "a", partitions: []*partition{{}}}
	tp.partitions[0].topic = tp
	tp.setRoutes(1)
	p.known.Store(&map[string]*topic{"a": tp})
	var before, after Promise
	p.Produce(t.Context(), Record{Topic: "a", Value: []byte("before")}, false, &before)
	p.closing.Store(true)
	p.Produce(t.Context(), Record{Topic: "a", Value: []byte("after")}, false, &after)
	if !errors.Is(after.Err(), kafka.ErrClosed) || before.isResolved() {
		t.Errorf("the record before Close has ended: %t; the one after: %v, want ErrClosed", before.isResolved(), after.Err())
	}
	if n := p.Stats().Records; n != 1 {
		t.Errorf("it holds %d records, want 1", n)
	}
}

// A record that is left in a partition when Close has given up all others fails, too: nobody would look there any more.
func TestARecordThatIsLeftAfterTheEndFails(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	p := unsentProducer(ctx)
	q := &partition{topic: &topic{name: "a"}, fault: fault{err: context.Canceled}}
	end()
	p.failPending()
	var promise Promise
	if !p.leave(q, &entry{value: []byte("v")}, &promise, 10) {
		t.Fatal("the record was refused")
	}
	if !errors.Is(promise.Err(), kafka.ErrClosed) {
		t.Errorf("the record's error is %v, want ErrClosed", promise.Err())
	}
}

// A record whose partition is locked waits for nobody: who unlocks the partition puts it into a batch, before those
// that are produced after it. Flush waits for it in between.
func TestARecordIsLeftInAPartitionThatIsLocked(t *testing.T) {
	t.Parallel()
	p := unsentProducer(t.Context())
	q := &partition{}
	tp := &topic{partitions: []*partition{q}}
	q.topic = tp
	tp.setRoutes(1)
	promises := make([]Promise, 5)
	add := func(i int) {
		key := []byte{'k'}
		if !p.addToBatch(tp, &entry{key: key, value: []byte{byte(i)}, timeMs: 1}, &promises[i], 100, nil) {
			t.Fatalf("record %d was refused", i)
		}
		key[0] = 'x' // the caller uses its memory again
	}
	q.mu.Lock()
	add(0)
	add(1)
	if q.open != nil {
		t.Fatal("there is a batch while the partition is locked")
	}
	open := p.endGroup()
	if len(open) != 1 || open[0].pending.Load() != 2 {
		t.Fatalf("Flush waits for %d groups, want one that has both records", len(open))
	}
	p.unlock(q)
	add(2)
	q.mu.Lock()
	add(3)
	q.mu.Unlock() // by one who does not look: the next one does
	add(4)
	want := []*Promise{&promises[0], &promises[1], &promises[2], &promises[3], &promises[4]}
	if !slices.Equal(q.open.promises, want) {
		t.Errorf("the batch has %d records, want all five in order", len(q.open.promises))
	}
	if live := open[0].pending.Load(); live != 1 {
		t.Errorf("the group counts %d, want the batch alone", live)
	}
	records, err := q.open.records()
	if err != nil || string(records[0].Key) != "k" || string(records[1].Value) != "\x01" {
		t.Errorf("the records that were left: %v, %v", records, err)
	}
}

// One goroutine does not take in what others leave for ever: the sender goes on with it.
func TestTheSenderTakesOverFromAProduceThatWouldNotEnd(t *testing.T) {
	t.Parallel()
	p := unsentProducer(t.Context())
	q := &partition{topic: &topic{}}
	var left atomic.Int64
	p.opened.wakes = time.Now()
	q.mu.Lock()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				p.addToPartition(q, &entry{value: []byte("v")}, new(Promise), 10, nil)
				left.Add(1)
			}
		})
	}
	p.unlock(q)
	all.Wait()
	p.waiting(q) // as the sender
	if got := len(q.open.promises); got != int(left.Load()) || q.left.Load() != nil {
		t.Errorf("%d records are in the batch, want %d", got, left.Load())
	}
}

// A Produce may have joined a group when Close begins, and leave its record in the partition when Close has given up
// what the partition has: the record fails then, as nobody would send it.
func TestARecordThatIsLeftAfterCloseFails(t *testing.T) {
	t.Parallel()
	client, err := kafka.NewClient([]string{"localhost:1"}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for _, locked := range []bool{false, true} {
		p := New(client, Options{})
		q := &partition{topic: &topic{name: "a"}, leader: -1}
		if !p.quota.reserve(10) {
			t.Fatal("there is no room")
		}
		var promise Promise
		c := newQueuedRecord(&entry{value: []byte("value")}, &promise, 10, p.join(q))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = p.Close(ended) // of nothing that it knows of
		if locked {        // by a Produce that takes in what was left
			q.mu.Lock()
			go p.unlock(q)
		}
		p.push(q, c)
		select {
		case <-promise.Done():
			if err := promise.Err(); !errors.Is(err, kafka.ErrClosed) || errors.Is(err, ErrUnacknowledged) {
				t.Errorf("the record fails with %v, want one that says that the producer is closed", err)
			}
		default:
			t.Error("the record has no outcome")
		}
		if n := p.quota.records.Load(); n != 0 {
			t.Errorf("%d records hold room, want none", n)
		}
		if err := p.Flush(ended); err != nil {
			t.Error(err)
		}
	}
}
