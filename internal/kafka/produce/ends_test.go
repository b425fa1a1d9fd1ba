package produce_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestAContextThatEndsInTheQueueTakesItsRecordBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, func(s *kafka.Settings) { s.Linger = time.Hour })
	short, cancel := context.WithCancelCause(t.Context())
	promises := make([]produce.Promise, 30)
	for i := range promises {
		ctx := t.Context()
		if i%3 > 0 { // two thirds: the batch is rebuilt at once
			ctx = short
		}
		p.Produce(ctx, record("a", "", value(i)), false, &promises[i])
	}
	why := errors.New("the caller has gone")
	cancel(why)
	if err := wait(t, &promises[1]); !errors.Is(err, context.Canceled) || !errors.Is(err, why) ||
		!strings.Contains(err.Error(), "not sent") {
		t.Errorf("err = %v", err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := b.values("a")
	for i := range promises {
		if want := (i%3 + 2) / 3; seen[value(i)] != 1-want || (promises[i].Err() != nil) != (want == 1) {
			t.Errorf("record %d: %d times, %v", i, seen[value(i)], promises[i].Err())
		}
	}
	if s := p.Stats(); s.Records != 0 || s.Bytes != 0 {
		t.Errorf("still held: %+v", s)
	}
}

func TestAContextThatEndsInFlightSaysThatTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, nil)
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	b.net.hang()
	start := time.Now()
	err := send(t, p, within(t, 100*time.Millisecond), "a", "second")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, produce.ErrUnacknowledged) {
		t.Errorf("err = %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("a hung broker held the caller for %s", d)
	}
	b.net.heal()
	if err := send(t, p, within(t, 10*time.Second), "a", "third"); err != nil {
		t.Fatal(err)
	}
	if seen := b.values("a"); seen["first"] != 1 || seen["second"] != 1 || seen["third"] != 1 {
		t.Errorf("seen %v, want each once", seen)
	}
}

func TestCloseReturnsByItsDeadlineFromAHungBroker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.topic("a", 1)
	p := b.producer(produce.Options{}, nil)
	if err := send(t, p, t.Context(), "a", "first"); err != nil {
		t.Fatal(err)
	}
	b.net.hang()
	var promises [6]produce.Promise
	for i := range 3 {
		p.Produce(t.Context(), record("a", "", value(i)), true, &promises[i])
	}
	testkit.Until(t, "a request is on its way", func() bool { return p.Stats().InFlight > 0 })
	for i := 3; i < 5; i++ {
		p.Produce(t.Context(), record("a", "", value(i)), true, &promises[i])
	}
	p.Produce(t.Context(), record("missing", "", value(5)), true, &promises[5])
	start := time.Now()
	err := p.Close(within(t, 200*time.Millisecond))
	// The promise is 50ms past the deadline; the rest is for the scheduler of a loaded machine. A hung request would hold
	// it for 30s.
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("Close took %s with a deadline of 200ms", d)
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "6 records were not delivered") {
		t.Errorf("err = %v", err)
	}
	unknown := 0
	for i := range promises {
		if err := wait(t, &promises[i]); !errors.Is(err, kafka.ErrClosed) {
			t.Errorf("record %d: %v, want ErrClosed", i, err)
		} else if errors.Is(err, produce.ErrUnacknowledged) {
			unknown++
		}
	}
	if unknown == 0 || unknown == len(promises) {
		t.Errorf("%d of %d records are said to be unknown", unknown, len(promises))
	}
	if err := send(t, p, t.Context(), "a", "late"); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("Produce after Close: %v, want ErrClosed", err)
	}
}

func TestCloseAndProduceMayRace(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		b := newBench(t)
		b.topic("a", 3)
		p := b.producer(produce.Options{MaxRecords: 50}, nil)
		var promises [8][100]produce.Promise
		var wg sync.WaitGroup
		for g := range promises {
			wg.Go(func() {
				for i := range promises[g] {
					p.Produce(t.Context(), record("a", "", value(i)), i%2 == 0, &promises[g][i])
				}
			})
		}
		for range 3 {
			wg.Go(func() {
				time.Sleep(time.Duration(rand.IntN(round+1)) * time.Millisecond) // the race is the point
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		wg.Wait()
		acknowledged := int64(0)
		for g := range promises {
			for i := range promises[g] {
				switch err := wait(t, &promises[g][i]); {
				case err == nil:
					acknowledged++
				case !errors.Is(err, kafka.ErrClosed):
					t.Fatal(err)
				}
			}
		}
		written := int64(0)
		for _, part := range b.fake.PartitionInfos("a") {
			written += part.HighWatermark
		}
		if acknowledged != written {
			t.Fatalf("%d acknowledged, %d written", acknowledged, written)
		}
		b.client.Close()
	}
}

func TestAFullBufferBlocksUntilThereIsRoomOrTheContextEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		o    produce.Options
	}{{"records", produce.Options{MaxRecords: 10}}, {"bytes", produce.Options{MaxBytes: 420}}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.topic("a", 1)
			p := b.producer(test.o, nil)
			if err := send(t, p, t.Context(), "a", "first"); err != nil {
				t.Fatal(err)
			}
			b.net.hang()
			short := within(t, 200*time.Millisecond)
			var promises [20]produce.Promise
			var wg sync.WaitGroup
			for i := range promises {
				ctx := t.Context()
				if i >= 15 {
					ctx = short
				}
				wg.Go(func() { p.Produce(ctx, record("a", "", value(i)), false, &promises[i]) })
			}
			for i := 15; i < 20; i++ {
				if err := wait(t, &promises[i]); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("record %d: %v", i, err)
				}
			}
			if s := p.Stats(); s.Records > 10 {
				t.Errorf("the buffer holds %d records", s.Records)
			}
			b.net.heal()
			wg.Wait()
			for i := range 15 {
				if err := wait(t, &promises[i]); err != nil {
					t.Errorf("record %d: %v", i, err)
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := p.Stats(); s.Records != 0 || s.Bytes != 0 {
				t.Errorf("still held: %+v", s)
			}
		})
	}
}
