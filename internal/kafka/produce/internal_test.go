package produce

import (
	"math"
	"sync"
	"testing"
	"time"

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
				if partition, offset := p.Placed(); p.Err() != nil || partition != 3 || offset != 42 {
					t.Errorf("placed at %d/%d, %v", partition, offset, p.Err())
				}
			})
		}
		if partition, offset := p.Placed(); partition != -1 || offset != -1 {
			t.Errorf("placed at %d/%d before it was", partition, offset)
		}
		wg.Go(func() { p.place(3, 42) })
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
		q := &partition{open: &batch{urgent: test.urgent, born: now.Add(-test.age), group: newGroup(0)}}
		a := &schedule{now: now, next: time.Hour}
		if test.next == 0 {
			test.next = time.Hour
		}
		if due := p.sendable(q, a); due != test.due || a.next != test.next {
			t.Errorf("%+v: due %t, the next look in %v", test, due, a.next)
		}
	}
}
