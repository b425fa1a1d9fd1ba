package lanes_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// item is an item of these tests.
type item struct {
	part   int
	offset int64
	key    string // "" = none
	size   int
}

// options fills in what all tests want alike.
func options(o lanes.Options[item]) lanes.Options[item] {
	o.Offset = func(i *item) int64 { return i.offset }
	o.Size = func(i *item) int { return i.size }
	o.Key = func(i *item) []byte {
		if i.key == "" {
			return nil
		}
		return []byte(i.key)
	}
	return o
}

func ignore(bool) {}

// modes are the pools that most tests go through.
var modes = []struct {
	name string
	lanes.Options[item]
}{
	{name: "by partition", Options: lanes.Options[item]{Mode: lanes.ByPartition}},
	{name: "by partition, at most 2", Options: lanes.Options[item]{Mode: lanes.ByPartition, Limit: 2}},
	{name: "by key", Options: lanes.Options[item]{Mode: lanes.ByKey, Limit: 4}},
	{name: "by key, without a limit", Options: lanes.Options[item]{Mode: lanes.ByKey}},
	{name: "unordered", Options: lanes.Options[item]{Mode: lanes.Unordered, Limit: 4}},
	{name: "unordered, without a limit", Options: lanes.Options[item]{Mode: lanes.Unordered}},
}

// watch sees handlers begin and end, and complains when one breaks what its lane promises.
type watch struct {
	t       *testing.T
	mode    lanes.Mode
	limit   int // 0 = none
	mu      sync.Mutex
	last    map[string]int64 // the offset that began last in a lane
	busy    map[string]bool
	begun   map[item]bool
	ended   map[item]bool
	running int
	most    int // that ran at once
}

func newWatch(t *testing.T, o lanes.Options[item]) *watch {
	w := &watch{t: t, mode: o.Mode, limit: o.Limit,
		last: make(map[string]int64), busy: make(map[string]bool), begun: make(map[item]bool), ended: make(map[item]bool)}
	if o.Mode != lanes.ByPartition {
		w.limit = max(1, o.Limit)
	}
	return w
}

// lane names what an item waits for; "" when it waits for nothing.
func (w *watch) lane(i item) string {
	switch {
	case w.mode == lanes.ByPartition:
		return fmt.Sprint(i.part)
	case w.mode == lanes.ByKey && i.key != "":
		return fmt.Sprint(i.part, i.key)
	}
	return ""
}

func (w *watch) begin(i item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun[i] {
		w.t.Errorf("%+v begins a second time", i)
	}
	w.begun[i] = true
	if w.running++; w.limit > 0 && w.running > w.limit {
		w.t.Errorf("%d handlers run, the limit is %d", w.running, w.limit)
	}
	w.most = max(w.most, w.running)
	l := w.lane(i)
	if l == "" {
		return
	}
	if last, ok := w.last[l]; ok && last >= i.offset {
		w.t.Errorf("lane %s: offset %d after %d", l, i.offset, last)
	}
	if w.busy[l] {
		w.t.Errorf("lane %s: offset %d begins while another runs", l, i.offset)
	}
	w.last[l], w.busy[l] = i.offset, true
}

// pause and resume tell that an item waits for its time, and what it holds back waits too.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running++; w.limit > 0 && w.running > w.limit {
		w.t.Errorf("%d handlers run, the limit is %d", w.running, w.limit)
	}
}

func (w *watch) end(i item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	w.ended[i] = true
	w.busy[w.lane(i)] = false
}

// count returns how many handlers of a partition have ended.
func (w *watch) count(part int) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.ended {
		if i.part == part {
			n++
		}
	}
	return n
}

// items makes n items from an offset on, one of keys each.
func items(part int, from int64, n int, keys ...string) []item {
	list := make([]item, n)
	for i := range list {
		list[i] = item{part: part, offset: from + int64(i), size: 10}
		if len(keys) > 0 {
			list[i].key = keys[i%len(keys)]
		}
	}
	return list
}

// TestOrder gives partitions runs while handlers take random times, and looks at the watermarks all along.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(8) {
				synctest.Test(t, func(t *testing.T) { order(t, m.Options, rand.New(rand.NewPCG(seed, 1))) })
			}
		})
	}
}

func order(t *testing.T, o lanes.Options[item], random *rand.Rand) {
	const partitions, total = 3, 400
	w := newWatch(t, o)
	o = options(o)
	o.PartitionItems = 40
	seed := random.Uint64()
	o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
		n := (uint64(i.offset)*31 + uint64(i.part)*7 + seed) % 11
		if again == nil {
			w.begin(*i)
		} else {
			w.resume()
		}
		if n == 3 && (again == nil || again.State.(int) < 2) { // it waits two times
			calls := 0
			if again != nil {
				calls = again.State.(int)
			}
			w.pause()
			return false, &lanes.Retry{At: time.Now().Add(time.Duration(i.offset%17) * time.Millisecond), State: calls + 1}
		}
		// Some return at once, some take long.
		if n > 6 {
			time.Sleep(time.Duration(n*n) * time.Millisecond)
		}
		w.end(*i)
		return true, nil
	}
	p := lanes.New(o)
	var wg sync.WaitGroup
	for part := range partitions {
		reports, last := make(chan bool, 1000), false
		x := p.Open(t.Context(), func(full bool) { reports <- full })
		if _, ok := x.Mark(); ok {
			t.Error("a mark before the first Add")
		}
		r := rand.New(rand.NewPCG(random.Uint64(), 2))
		wg.Go(func() {
			from := int64(0)
			var all []item
			for len(all) < total {
				if last {
					next := <-reports
					if next {
						t.Error("full twice")
					}
					last = next
					continue
				}
				run := items(part, from, r.IntN(25), "a", "b", "", "c", "d", "", "e", "f", "g")
				r.Shuffle(len(run), func(i, k int) { run[i].key, run[k].key = run[k].key, run[i].key })
				from += int64(len(run)) + r.Int64N(3) // a gap
				all = append(all, run...)
				x.Add(run, from)
				checkMark(t, w, x, all)
				select {
				case last = <-reports:
					if !last {
						t.Error("not full twice")
					}
				case <-time.After(time.Duration(r.IntN(40)) * time.Millisecond):
				}
			}
			for {
				if n, bytes, _ := x.Held(); n == 0 {
					if bytes != 0 {
						t.Errorf("no items of %d bytes", bytes)
					}
					break
				}
				checkMark(t, w, x, all)
				time.Sleep(10 * time.Millisecond)
			}
			if mark, ok := x.Mark(); mark != from || !ok {
				t.Errorf("the mark is %d in the end, want %d", mark, from)
			}
			if n := w.count(part); n != len(all) {
				t.Errorf("%d of %d items handled", n, len(all))
			}
			x.Stop()
			<-x.Idle()
		})
	}
	wg.Wait()
	p.Close()
	if n := p.Running(); n != 0 {
		t.Errorf("%d run after Close", n)
	}
	if w.limit > 0 && w.most < w.limit {
		t.Errorf("at most %d handlers ran at once of %d that may", w.most, w.limit)
	}
}

// checkMark complains about a watermark that has passed an unfinished item.
func checkMark(t *testing.T, w *watch, x *lanes.Partition[item], all []item) {
	t.Helper()
	mark, _ := x.Mark()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range all {
		if i.offset < mark && !w.ended[i] {
			t.Errorf("the mark is %d and offset %d of partition %d is not finished", mark, i.offset, i.part)
		}
	}
}
