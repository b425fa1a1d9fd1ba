package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Of two groups one may be named like the end of the other, "indexer" and "content.indexer": then the names of retry
// streams do not tell whose they are. The records do.
func TestAGroupLeavesAloneWhatAnotherOneRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s.a", 1)
	w.put("s.a", 0, contents(0, 3)...)
	short := w.group("g")
	long := "x." + short
	retry := "s.a." + long + ".retry.1"
	app := w.app()
	var good, bad numbers
	bus.MustSubscribe(app, "s.*", good.handle, bus.Group(short), bus.RetryTopics(time.Millisecond))
	bus.MustSubscribe(app, "s.*", func(_ context.Context, m *bus.Message[Content]) error {
		bad.add(m.Data.N)
		if m.Record.Stream == "s.a" {
			return errBroken
		}
		return nil
	}, bus.Group(long), bus.RetryTopics(time.Millisecond))
	stop := running(t, app)
	bad.wait(t, 6)
	for _, group := range []string{short, long} {
		w.waitCommitted(group, "s.a", map[int32]int64{0: 3})
		w.waitCommitted(group, retry, w.ends(retry))
	}
	if good.len() != 3 || bad.len() != 6 {
		t.Errorf("handled %v and %v", good.get(), bad.get())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
