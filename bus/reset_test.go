package bus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A group that begins at the end settles where that is: what is written while it is away is handled when it is back,
// though it has handled nothing before.
func TestLatestLosesNothingBetweenTwoMembers(t *testing.T) {
	t.Parallel()
	for _, manual := range []bool{false, true} {
		t.Run(map[bool]string{false: "auto commit", true: "manual commit"}[manual], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.group("g")
			w.stream("s", 2)
			w.put("s", 0, contents(0, 5)...)
			var got numbers
			subscribed := func() *bus.App {
				app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": "latest"}), ManualCommit: manual})
				bus.MustSubscribe(app, "s", got.handle, bus.Group(group))
				return app
			}
			stop := running(t, subscribed())
			w.waitCommitted(group, "s", map[int32]int64{0: 5})
			eventually(t, func() bool { return len(w.committed(group, "s")) == 2 }, says("the empty partition has no commit"))
			if err := stop(); err != nil {
				t.Error(err)
			}
			w.put("s", 0, contents(5, 3)...)
			w.put("s", 1, contents(8, 3)...)
			stop = running(t, subscribed())
			got.wait(t, 6)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if !slices.Equal(got.sorted(), upTo(5, 6)) {
				t.Errorf("handled %v", got.get())
			}
		})
	}
}

func TestANewStreamIsReadFromItsFirstRecordWhateverTheReset(t *testing.T) {
	t.Parallel()
	for _, reset := range []string{"latest", "none", "earliest"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": reset})})
			var got numbers
			bus.MustSubscribe(app, "s*", got.handle, bus.Group(w.group("g")))
			stop := running(t, app)
			eventually(t, func() bool { return stats(app).State == "stable" }, says("not stable"))
			w.stream("s1", 3)
			w.put("s1", 1, contents(0, 5)...)
			got.wait(t, 5)
			if err := stop(); err != nil {
				t.Error(err)
			}
			// And the partitions nobody wrote to have their place, too.
			again := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": reset})})
			bus.MustSubscribe(again, "s*", got.handle, bus.Group(w.group("g")))
			w.put("s1", 2, contents(5, 5)...)
			stop = running(t, again)
			got.wait(t, 10)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if !slices.Equal(got.sorted(), upTo(0, 10)) {
				t.Errorf("handled %v", got.get())
			}
		})
	}
}

func TestWithoutAResetAGroupNeedsACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	group := w.group("g")
	var got numbers
	run := func(reset string) *bus.App {
		app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": reset})})
		bus.MustSubscribe(app, "s", got.handle, bus.Group(group))
		return app
	}
	err := runs(t, run("none"))
	if err == nil || !strings.Contains(err.Error(), "auto_offset_reset is none") ||
		!strings.Contains(err.Error(), w.prefix+"s/0") || !strings.Contains(err.Error(), group) {
		t.Errorf("run: %v", err)
	}
	if got.len() > 0 || len(w.committed(group, "s")) > 0 {
		t.Errorf("handled %v, committed %v", got.get(), w.committed(group, "s"))
	}
	stop := running(t, run("earliest"))
	w.waitCommitted(group, "s", map[int32]int64{0: 3})
	if err := stop(); err != nil {
		t.Error(err)
	}
	w.put("s", 0, contents(3, 1)...)
	stop = running(t, run("none"))
	got.wait(t, 4)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
