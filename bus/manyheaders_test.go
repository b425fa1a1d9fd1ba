package bus_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// peakHeap returns the most that objects took in memory until the function that it returns is called.
func peakHeap() func() int64 {
	runtime.GC()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var peak uint64
	wg.Go(func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() int64 {
		close(done)
		wg.Wait()
		return int64(peak)
	}
}

// A record of 30 million headers comes in a batch of 6.5 kB, and would take 1.2 GB. It is passed over, and the record
// behind it is handled. The test is not parallel: it measures memory.
func TestThirtyMillionHeaders(t *testing.T) {
	w := newWorld(t)
	w.stream("s", 1)
	w.cluster.PutManyHeaders(t, w.prefix+"s", 30_000_000)
	app := w.app()
	var got list[string]
	bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
		got.add(string(r.Value))
		return nil
	}, bus.Group(w.group("g")))
	peak := peakHeap()
	stop := running(t, app)
	got.wait(t, 1)
	used := peak()
	if used > 150_000_000 {
		t.Errorf("%d bytes in use", used)
	}
	t.Attr("figures", fmt.Sprintf("a record that would take 1.2 GB: at most %.1f MiB in use", float64(used)/(1<<20)))
	if s := stats(app); got.get()[0] != "behind" || s.Broken != 1 || s.LastError == nil {
		t.Errorf("handled %q, %d broken, %v", got.get(), s.Broken, s.LastError)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	peak = peakHeap()
	var values []string
	errs := 0
	for r, err := range app.Tail(t.Context(), "s", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			errs++
			continue
		}
		values = append(values, string(r.Value))
	}
	if used := peak(); used > 150_000_000 || fmt.Sprint(values) != "[behind]" || errs != 1 {
		t.Errorf("tail: %q, %d errors, %d bytes in use", values, errs, used)
	}
}

// Records count with their headers: of 40 that would take 800 MB, no more than one is read, and one more decoded,
// before the partition waits for its handler.
func TestHeadersCountAsMemory(t *testing.T) {
	w := newWorld(t)
	w.stream("s", 1)
	for range 40 {
		w.cluster.PutManyHeaders(t, w.prefix+"s", 500_000)
	}
	app := w.app()
	release := make(chan struct{})
	var got list[int]
	bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
		<-release
		got.add(len(r.Headers))
		return nil
	}, bus.Group(w.group("g")))
	peak := peakHeap()
	stop := running(t, app)
	eventually(t, func() bool {
		s := stats(app)
		return len(s.Assigned) == 1 && s.Assigned[0].Paused
	}, func() string { return fmt.Sprintf("%+v", stats(app).Assigned) })
	if p := stats(app).Assigned[0]; p.Bytes < 20_000_000 {
		t.Errorf("%+v: a record of 500,000 headers takes 20 MB", p)
	}
	close(release)
	got.wait(t, 80)
	if used := peak(); used > 250_000_000 {
		t.Errorf("%d bytes in use", used)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
