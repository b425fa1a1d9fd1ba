package bus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Records that wait to be handled again take no worker from others: however few there are, all other partitions are
// handled.
func TestRecordsThatWaitHoldUpNoOtherPartition(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		opt  bus.SubscribeOption
	}{
		{"by partition", bus.Concurrency(2, bus.ByPartition)},
		{"by key", bus.Concurrency(2, bus.ByKey)},
		{"unordered", bus.Concurrency(2, bus.Unordered)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const partitions, waits = 7, 2
			w.stream("s", partitions)
			for p := range int32(partitions) {
				w.put("s", p, contents(int(p)*10, 10)...)
			}
			app := w.app()
			var got numbers
			bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
				if c.N < waits*10 && c.N%10 == 0 {
					return bus.RetryAfter(time.Hour, errBroken)
				}
				got.add(c.N)
				return nil
			}, bus.Group(w.group("g")), test.opt)
			stop := running(t, app)
			got.wait(t, (partitions-waits)*10)
			eventually(t, func() bool { return stats(app).Retried == waits }, says("not all have been called"))
			eventually(t, func() bool { return stats(app).InFlight == 0 }, says("a record that waits counts as a call"))
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// With ByKey a record that waits holds up the records of its own key, and not those of others that share its lane,
// however many they are.
func TestARecordThatWaitsHoldsUpItsKeyAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const partitions, records, keys = 7, 300_000, 100
	w.stream("s", partitions)
	batch := make([]*kgo.Record, 0, records+1)
	key := func(n int) []byte { return fmt.Appendf(nil, "key %d", n) }
	batch = append(batch, &kgo.Record{Topic: w.prefix + "s", Key: key(0), Value: []byte("waits")})
	for i := range records {
		k := i % keys
		batch = append(batch, &kgo.Record{Topic: w.prefix + "s", Partition: int32(k % partitions), Key: key(k),
			Value: []byte("v")})
	}
	w.putRecords(batch...)
	app := w.app()
	var handled, held atomic.Int64
	release := make(chan struct{})
	var mu sync.Mutex
	waited := false
	bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
		if string(r.Key) != "key 0" {
			handled.Add(1)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case string(r.Value) != "waits":
			if !waited {
				t.Error("a record has overtaken the one of its key that waits")
			}
			held.Add(1)
			return nil
		case waited:
			return nil
		}
		select {
		case <-release:
			waited = true
			return nil
		default:
			return bus.RetryAfter(100*time.Millisecond, errBroken)
		}
	}, bus.Group(w.group("g")), bus.Concurrency(4, bus.ByKey))
	stop := running(t, app)
	// A partition is not read further when 10,000 of its records wait, so not all of key 0 come; but none of the
	// others is held up.
	eventually(t, func() bool { return handled.Load() == records-records/keys },
		func() string { return fmt.Sprint(handled.Load()) })
	if n := held.Load(); n > 0 {
		t.Errorf("%d records of the key were handled", n)
	}
	close(release)
	eventually(t, func() bool { return held.Load() == records/keys }, func() string { return fmt.Sprint(held.Load()) })
	if err := stop(); err != nil {
		t.Error(err)
	}
}
