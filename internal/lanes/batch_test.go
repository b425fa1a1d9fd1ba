package lanes_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// batched returns options of a pool whose batches go to do.
func batched(m lanes.Options[item], b lanes.Batches, do func([]lanes.Item[item]) lanes.Result) lanes.Options[item] {
	o := options(m)
	o.Batches = b
	o.DoBatch = func(_ context.Context, items []lanes.Item[item]) lanes.Result { return do(items) }
	return o
}

func offsetsOf(items []lanes.Item[item]) (offsets []int64) {
	for _, i := range items {
		offsets = append(offsets, i.Value.offset)
	}
	return offsets
}

// batchLog keeps the batches that were handed out, as text, and when.
type batchLog struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func (l *batchLog) add(items []lanes.Item[item]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%v %v", time.Since(l.began), offsetsOf(items)))
}

func (l *batchLog) check(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.lines, want) {
		t.Errorf("got %q, want %q", l.lines, want)
	}
}

// A batch is handed out when it is full, by number or bytes, when its first item has waited long enough, or when its
// partition takes no more.
func TestWhenABatchIsHandedOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		lanes.Options[item]
		lanes.Batches
		feed func(t *testing.T, x *lanes.Partition[item])
		want []string
	}{
		{name: "when it has the most items", Batches: lanes.Batches{Max: 3, Bytes: 100, Wait: time.Minute},
			feed: func(_ *testing.T, x *lanes.Partition[item]) {
				x.Add(items(0, 0, 2), 2)
				time.Sleep(time.Second)
				x.Add(items(0, 2, 5), 7)
			}, want: []string{"1s [0 1 2]", "1s [3 4 5]", "1m1s [6]"}},
		{name: "when the first has waited long enough", Batches: lanes.Batches{Max: 9, Bytes: 100, Wait: time.Minute},
			feed: func(_ *testing.T, x *lanes.Partition[item]) {
				x.Add(items(0, 0, 1), 1)
				time.Sleep(59 * time.Second)
				x.Add(items(0, 1, 1), 2)
				time.Sleep(2 * time.Second)
				x.Add(items(0, 2, 1), 3)
			}, want: []string{"1m0s [0 1]", "2m1s [2]"}},
		{name: "at once", Batches: lanes.Batches{Max: 9, Bytes: 100},
			feed: func(_ *testing.T, x *lanes.Partition[item]) { x.Add(items(0, 0, 2), 2) }, want: []string{"0s [0 1]"}},
		{name: "when it has the bytes", Batches: lanes.Batches{Max: 9, Bytes: 100, Wait: time.Minute},
			feed: func(_ *testing.T, x *lanes.Partition[item]) {
				x.Add(sized(0, 40, 40), 2)
				synctest.Wait()
				x.Add(sized(2, 40, 10, 250, 50), 6)
			}, want: []string{"0s [0 1]", "0s [2 3]", "0s [4]", "1m0s [5]"}},
		{name: "when its partition has enough items", Options: lanes.Options[item]{PartitionItems: 4},
			Batches: lanes.Batches{Max: 9, Bytes: 100, Wait: time.Minute},
			feed:    func(_ *testing.T, x *lanes.Partition[item]) { x.Add(items(0, 0, 5), 5) },
			want:    []string{"0s [0 1 2 3 4]"}},
		{name: "when its partition has enough bytes", Options: lanes.Options[item]{PartitionBytes: 40},
			Batches: lanes.Batches{Max: 9, Bytes: 100, Wait: time.Minute},
			feed:    func(_ *testing.T, x *lanes.Partition[item]) { x.Add(sized(0, 20, 21), 2) }, want: []string{"0s [0 1]"}},
	} {
		for _, mode := range []lanes.Mode{lanes.ByPartition, lanes.ByKey, lanes.Unordered} {
			t.Run(fmt.Sprintf("%s, mode %d", test.name, mode), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := batchLog{began: time.Now()}
					options := test.Options
					options.Mode, options.Limit = mode, 1
					p := lanes.New(batched(options, test.Batches, func(items []lanes.Item[item]) lanes.Result {
						log.add(items)
						return lanes.Result{Finished: len(items)}
					}))
					x := p.Open(t.Context(), ignore)
					test.feed(t, x)
					time.Sleep(time.Hour)
					synctest.Wait()
					log.check(t, test.want...)
					if n, _, running := x.Held(); n != 0 || running != 0 || x.Handling() != 0 {
						t.Errorf("%d are held, %d run", n, running)
					}
					end(t, p, x)
				})
			})
		}
	}
}

func sized(first int64, sizes ...int) []item {
	all := make([]item, len(sizes))
	for i, size := range sizes {
		all[i] = item{offset: first + int64(i), size: size}
	}
	return all
}

// end stops a partition, and waits for its pool.
func end(t *testing.T, p *lanes.Pool[item], x *lanes.Partition[item]) {
	t.Helper()
	x.Stop()
	<-x.Idle()
	p.Close()
}

// What follows a batch that is not finished: its items keep their order, and each is finished once.
func TestWhatFollowsABatch(t *testing.T) {
	t.Parallel()
	later := func(d time.Duration) *lanes.Retry { return &lanes.Retry{At: time.Now().Add(d), State: "kept"} }
	alone := func(d time.Duration) *lanes.Retry {
		again := later(d)
		again.Alone = true
		return again
	}
	for _, test := range []struct {
		name  string
		modes []lanes.Mode
		first func() lanes.Result // of the batch 0 to 5
		keys  []string
		want  []string
	}{
		{name: "those behind the finished ones come at once", first: func() lanes.Result { return lanes.Result{Finished: 2} },
			modes: []lanes.Mode{lanes.ByPartition, lanes.ByKey, lanes.Unordered}, want: []string{"0s [0 1 2 3 4 5]",
				"0s [2 3 4 5 6 7]"}},
		{name: "one waits, and those behind it in its partition",
			first: func() lanes.Result { return lanes.Result{Finished: 2, Retry: later(time.Second)} },
			modes: []lanes.Mode{lanes.ByPartition}, want: []string{"0s [0 1 2 3 4 5]", "1s [2 3 4 5 6 7]"}},
		{name: "one waits, and is handed out alone",
			first: func() lanes.Result { return lanes.Result{Finished: 2, Retry: alone(time.Second)} },
			modes: []lanes.Mode{lanes.ByPartition}, want: []string{"0s [0 1 2 3 4 5]", "1s [2]", "1s [3 4 5 6 7]"}},
		{name: "one waits, and the later ones of its key", keys: []string{"a", "b"},
			first: func() lanes.Result { return lanes.Result{Finished: 2, Retry: later(time.Second)} },
			modes: []lanes.Mode{lanes.ByKey}, want: []string{"0s [0 1 2 3 4 5]", "0s [3 5 7]", "1s [2 4 6]"}},
		{name: "one waits, and none behind it", first: func() lanes.Result {
			return lanes.Result{Finished: 2,
				Retry: later(time.Second)}
		},
			modes: []lanes.Mode{lanes.Unordered, lanes.ByKey}, want: []string{"0s [0 1 2 3 4 5]", "0s [3 4 5 6 7]", "1s [2]"}},
		{name: "all wait", first: func() lanes.Result { return lanes.Result{Retry: later(time.Second), Together: true} },
			modes: []lanes.Mode{lanes.ByPartition}, want: []string{"0s [0 1 2 3 4 5]", "1s [0 1 2 3 4 5]", "1m0s [6 7]"}},
		{name: "all wait, and the later ones of their keys", keys: []string{"a", "b", "c", "d", "e", "f", "b"},
			first: func() lanes.Result { return lanes.Result{Finished: 1, Retry: later(time.Second), Together: true} },
			modes: []lanes.Mode{lanes.ByKey}, want: []string{"0s [0 1 2 3 4 5]", "1s [1 2 3 4 5 6]", "1m0s [7]"}},
		{name: "a suspect", first: func() lanes.Result { return lanes.Result{Retry: alone(time.Second), Suspect: true} },
			modes: []lanes.Mode{lanes.ByPartition}, want: []string{"0s [0 1 2 3 4 5]", "1s [0]", "1s [1 2]",
				"1s [3 4 5 6]", "1m0s [7]"}},
		{name: "it is due at once", first: func() lanes.Result {
			return lanes.Result{Finished: 1,
				Retry: later(-time.Second)}
		},
			modes: []lanes.Mode{lanes.ByPartition}, want: []string{"0s [0 1 2 3 4 5]", "0s [1 2 3 4 5 6]", "1m0s [7]"}},
	} {
		for _, mode := range test.modes {
			t.Run(fmt.Sprintf("%s, mode %d", test.name, mode), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := batchLog{began: time.Now()}
					var state []any
					begun := false
					p := lanes.New(batched(lanes.Options[item]{Mode: mode, Limit: 1}, lanes.Batches{Max: 6, Bytes: 1000,
						Wait: time.Minute},
						func(items []lanes.Item[item]) lanes.Result {
							log.add(items)
							for n, i := range items {
								if i.Retry != nil {
									state = append(state, i.Retry.State)
									if n > 0 {
										t.Errorf("item %d of a batch has been handled before", n)
									}
								}
							}
							if !begun {
								begun = true
								return test.first()
							}
							return lanes.Result{Finished: len(items)}
						}))
					x := p.Open(t.Context(), ignore)
					x.Add(items(0, 0, 8, test.keys...), 8)
					time.Sleep(time.Hour)
					synctest.Wait()
					log.check(t, test.want...)
					if mark, _ := x.Mark(); mark != 8 {
						t.Errorf("the mark is %d", mark)
					}
					if waits := test.first().Retry != nil; waits != (len(state) == 1 && state[0] == "kept") {
						t.Errorf("what was kept: %v", state)
					}
					end(t, p, x)
				})
			})
		}
	}
}

// At the end of a partition what waits for a batch to fill is dropped, and so is what waits for its time.
func TestTheEndOfAPartitionDropsItsBatches(t *testing.T) {
	t.Parallel()
	for _, finish := range []bool{false, true} {
		t.Run(fmt.Sprintf("finish %v", finish), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := batchLog{began: time.Now()}
				var dropped []int64
				o := batched(lanes.Options[item]{}, lanes.Batches{Max: 3, Bytes: 100, Wait: time.Minute},
					func(items []lanes.Item[item]) lanes.Result {
						log.add(items)
						if items[0].Retry != nil {
							return lanes.Result{Finished: 1}
						}
						again := &lanes.Retry{At: time.Now().Add(time.Hour), State: "kept", Finish: finish}
						return lanes.Result{Finished: 1, Retry: again}
					})
				o.Dropped = func(_ context.Context, i *item, _ *lanes.Retry) { dropped = append(dropped, i.offset) }
				p := lanes.New(o)
				x := p.Open(t.Context(), ignore)
				x.Add(items(0, 0, 5), 5)
				synctest.Wait()
				end(t, p, x)
				time.Sleep(time.Hour)
				mark, _ := x.Mark()
				if finish {
					log.check(t, "0s [0 1 2]", "0s [1]")
					if mark != 2 || dropped != nil {
						t.Errorf("the mark is %d, dropped %v", mark, dropped)
					}
					return
				}
				log.check(t, "0s [0 1 2]")
				if mark != 1 || !slices.Equal(dropped, []int64{1}) {
					t.Errorf("the mark is %d, dropped %v", mark, dropped)
				}
			})
		})
	}
}

func TestABatchThatIsLeftEndsItsPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := batchLog{began: time.Now()}
		p := lanes.New(batched(lanes.Options[item]{}, lanes.Batches{Max: 3, Bytes: 100},
			func(items []lanes.Item[item]) lanes.Result {
				log.add(items)
				return lanes.Result{Finished: 2, Leave: true}
			}))
		x := p.Open(t.Context(), ignore)
		x.Add(items(0, 0, 9), 9)
		synctest.Wait()
		log.check(t, "0s [0 1 2]")
		if mark, _ := x.Mark(); mark != 2 || x.Add(items(0, 9, 1), 10) {
			t.Errorf("the mark is %d, or the partition goes on", mark)
		}
		end(t, p, x)
	})
}

func TestMarkWithout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var x *lanes.Partition[item]
		p := lanes.New(batched(lanes.Options[item]{Mode: lanes.ByKey, Limit: 1}, lanes.Batches{Max: 4, Bytes: 100},
			func(items []lanes.Item[item]) lanes.Result {
				own := offsetsOf(items)
				if mark, _ := x.MarkWithout(func(i *item) bool {
					return slices.Contains(own,
						i.offset)
				}); mark != own[len(own)-1]+1 {
					t.Errorf("without %v the mark is %d", own, mark)
				}
				if mark, _ := x.MarkWithout(func(i *item) bool { return i.offset == own[0] }); mark != own[0]+1 {
					t.Errorf("without %d the mark is %d", own[0], mark)
				}
				return lanes.Result{Finished: len(items)}
			}))
		x = p.Open(t.Context(), ignore)
		x.Add(items(0, 0, 9), 9)
		synctest.Wait()
		end(t, p, x)
	})
}

// batchModel checks what is handed out against what each mode promises.
type batchModel struct {
	t        *testing.T
	mode     lanes.Mode
	max      int
	bytes    int
	rand     *rand.Rand
	mu       sync.Mutex
	items    map[int64]*item
	finished map[int64]bool
	running  map[int64]bool
	waiting  map[int64]time.Time // until when
	batches  int
}

// waitsFor reports whether an item has to be finished before another may begin.
func (m *batchModel) waitsFor(before, behind *item) bool {
	switch {
	case before.offset >= behind.offset || m.mode == lanes.Unordered:
		return false
	case m.mode == lanes.ByPartition:
		return true
	}
	return before.key != "" && before.key == behind.key
}

func (m *batchModel) begin(items []lanes.Item[item]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	size, inBatch := 0, make(map[int64]bool)
	for _, i := range items {
		for _, other := range m.items {
			if m.waitsFor(other, i.Value) && !m.finished[other.offset] && !inBatch[other.offset] {
				m.t.Errorf("%d begins before %d is finished", i.Value.offset, other.offset)
			}
		}
		o := i.Value.offset
		if m.finished[o] || m.running[o] {
			m.t.Errorf("%d begins again", o)
		}
		if until, waits := m.waiting[o]; waits && time.Now().Before(until) {
			m.t.Errorf("%d begins before its time", o)
		}
		delete(m.waiting, o)
		m.running[o], inBatch[o] = true, true
		size += i.Value.size
	}
	if len(items) > m.max || size > m.bytes && len(items) > 1 {
		m.t.Errorf("a batch has %d items of %d bytes", len(items), size)
	}
}

func (m *batchModel) end(items []lanes.Item[item], r lanes.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, i := range items {
		delete(m.running, i.Value.offset)
		switch {
		case n < r.Finished:
			m.finished[i.Value.offset] = true
		case r.Retry != nil && (n == r.Finished || r.Together):
			m.waiting[i.Value.offset] = r.Retry.At
		}
	}
}

func (m *batchModel) outcome(n int) lanes.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := lanes.Result{Finished: n}
	if m.rand.IntN(3) > 0 {
		return r
	}
	r.Finished = m.rand.IntN(n)
	if m.rand.IntN(4) > 0 {
		r.Retry = &lanes.Retry{At: time.Now().Add(time.Duration(m.rand.IntN(100)-10) * time.Millisecond),
			Alone: m.rand.IntN(2) == 0}
		if m.rand.IntN(2) == 0 {
			r.Retry.State = "kept"
		}
		r.Together = m.rand.IntN(2) == 0
	}
	r.Suspect = m.rand.IntN(3) == 0
	return r
}

// Whatever becomes of batches, at random: the order of a lane holds, a batch is never too large, what waits does so
// for its time, and everything is finished exactly once, in the end.
func TestRandomOutcomesOfBatches(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(60) {
				synctest.Test(t, func(t *testing.T) { playBatches(t, mode.Options, seed) })
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func playBatches(t *testing.T, o lanes.Options[item], seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	m := &batchModel{
		t: t, mode: o.Mode, max: 1 + r.IntN(12), bytes: 50 + r.IntN(100), rand: rand.New(rand.NewPCG(seed, 2)),
		items: make(map[int64]*item), finished: make(map[int64]bool), running: make(map[int64]bool),
		waiting: make(map[int64]time.Time),
	}
	o.PartitionItems = 5 + r.IntN(100)
	b := lanes.Batches{Max: m.max, Bytes: int64(m.bytes), Wait: time.Duration(r.IntN(50)) * time.Millisecond}
	o = batched(o, b, func(items []lanes.Item[item]) lanes.Result {
		m.begin(items)
		time.Sleep(time.Duration(items[0].Value.offset%4) * time.Millisecond)
		result := m.outcome(len(items))
		m.end(items, result)
		return result
	})
	p := lanes.New(o)
	x := p.Open(t.Context(), ignore)
	next := int64(0)
	for range 20 {
		run := items(0, next, 1+r.IntN(20), "a", "b", "", "c", "a")
		for i := range run {
			run[i].size = 1 + r.IntN(30)
			m.mu.Lock()
			m.items[run[i].offset] = &run[i]
			m.mu.Unlock()
		}
		next += int64(len(run))
		x.Add(run, next)
		m.checkMark(x)
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	if len(m.finished) != int(next) || len(m.running) != 0 {
		t.Errorf("%d of %d are finished, %d run", len(m.finished), next, len(m.running))
	}
	m.checkMark(x)
	if n, bytes, running := x.Held(); n != 0 || bytes != 0 || running != 0 || x.Handling() != 0 {
		t.Errorf("%d are held, of %d bytes, %d run", n, bytes, running)
	}
	end(t, p, x)
}

// checkMark compares the watermark with the lowest item that is not finished.
func (m *batchModel) checkMark(x *lanes.Partition[item]) {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	want := int64(len(m.items))
	for o := range want {
		if !m.finished[o] {
			want = o
			break
		}
	}
	if mark, ok := x.Mark(); ok && mark != want {
		m.t.Errorf("the mark is %d, want %d", mark, want)
	}
}
