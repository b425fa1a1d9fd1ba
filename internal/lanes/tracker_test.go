package lanes

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// thing is an item of these tests.
type thing struct {
	offset int64
	size   int
}

func (t *thing) bytes() int { return t.size }

// TestTracker compares the tracker with a model that keeps everything and goes through it from the beginning.
func TestTracker(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type entry struct {
			thing
			run      *run[thing]
			place    int
			done     bool
			released bool
		}
		var (
			tr    tracker[thing]
			model []*entry
			next  int64
			begun bool
			mark  int64
		)
		pick := func(t *rapid.T, want func(*entry) bool) *entry {
			var some []*entry
			for _, e := range model {
				if want(e) {
					some = append(some, e)
				}
			}
			if len(some) == 0 {
				t.Skip("none")
			}
			return rapid.SampledFrom(some).Draw(t, "entry")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				items := make([]thing, rapid.SampledFrom([]int{0, 1, 2, 3, 63, 64, 65, 130}).Draw(t, "items"))
				for i := range items {
					next += rapid.Int64Range(0, 3).Draw(t, "gap")
					items[i] = thing{offset: next, size: rapid.IntRange(0, 9).Draw(t, "size")}
					next++
				}
				next += rapid.Int64Range(0, 3).Draw(t, "gap behind")
				begun = true
				r := tr.add(items, next)
				for i := range items {
					model = append(model, &entry{thing: items[i], run: r, place: i})
				}
			},
			"finish": func(t *rapid.T) {
				e := pick(t, func(e *entry) bool { return !e.done })
				e.run.finish(e.place)
				e.done = true
			},
			"finish a run": func(t *rapid.T) {
				first := pick(t, func(e *entry) bool { return !e.done })
				for _, e := range model {
					if e.run == first.run && !e.done {
						e.run.finish(e.place)
						e.done = true
					}
				}
			},
			"release": func(t *rapid.T) {
				first := pick(t, func(e *entry) bool { return e.done && !e.released })
				n := 0
				for _, e := range model {
					if e.run == first.run && e.done && !e.released {
						e.released = true
						n++
					}
				}
				first.run.finish(first.place) // once more changes nothing
				tr.release(first.run, n)
			},
			"": func(t *rapid.T) {
				wantMark, wantOldest, items, bytes := next, int64(-1), 0, int64(0)
				var runs []*run[thing]
				for _, e := range model {
					if !e.released && !slices.Contains(runs, e.run) {
						runs = append(runs, e.run)
					}
					if e.done {
						continue
					}
					if items == 0 {
						wantMark, wantOldest = e.offset, e.offset
					}
					items++
					bytes += int64(e.size)
				}
				gotMark, gotOldest := tr.next, int64(-1)
				if item := tr.oldest(); item != nil {
					gotMark, gotOldest = item.offset, item.offset
				}
				if gotMark != wantMark || gotOldest != wantOldest || tr.begun != begun {
					t.Fatalf("mark %d, oldest %d, begun %v; want %d, %d, %v", gotMark, gotOldest, tr.begun, wantMark,
						wantOldest, begun)
				}
				if gotMark < mark {
					t.Fatalf("the mark fell from %d to %d", mark, gotMark)
				}
				mark = gotMark
				if gotItems, gotBytes := tr.held((*thing).bytes); gotItems != items || gotBytes != bytes {
					t.Fatalf("holds %d items, %d bytes; want %d, %d", gotItems, gotBytes, items, bytes)
				}
				var kept []*run[thing]
				for r := tr.first; r != nil; r = r.after {
					kept = append(kept, r)
				}
				if !slices.Equal(kept, runs) {
					t.Fatalf("keeps %d runs, %d have items that are not released", len(kept), len(runs))
				}
			},
		})
	})
}

func TestTrackerNextNeverFalls(t *testing.T) {
	t.Parallel()
	var tr tracker[thing]
	tr.add(nil, 7)
	tr.add(nil, 5)
	if tr.next != 7 {
		t.Errorf("next %d after 7 and 5", tr.next)
	}
}

// TestFifo compares the queue with a slice.
func TestFifo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[int]
		var model []int
		serial := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				serial++
				q.push(serial)
				model = append(model, serial)
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				if front, got := q.front(), q.pop(); got != model[0] || front != got {
					t.Fatalf("popped %d, front %d, want %d", got, front, model[0])
				}
				model = model[1:]
			},
			"drop": func(t *rapid.T) {
				n := rapid.IntRange(2, 5).Draw(t, "multiples of")
				match := func(i int) bool { return i%n == 0 }
				q.drop(match)
				model = slices.DeleteFunc(model, match)
			},
			"": func(t *rapid.T) {
				if got := q.array[q.head:]; !slices.Equal(got, model) || q.len() != len(model) {
					t.Fatalf("holds %v, want %v", got, model)
				}
				for i, e := range q.array[:cap(q.array)] {
					if e != 0 && (i < q.head || i >= len(q.array)) {
						t.Fatalf("still refers to %d", e)
					}
				}
			},
		})
	})
}
