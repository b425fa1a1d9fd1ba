package bus_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
)

// runtime.Goexit, which testing's FailNow is, ends the goroutine that all of a lane's handlers run on: no handler of it
// would ever run again, and nobody would tell.
func TestAHandlerThatEndsItsGoroutineEndsRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		opts []bus.SubscribeOption
	}{
		{"by partition", nil},
		{"one at a time", []bus.SubscribeOption{bus.Concurrency(1, bus.ByPartition)}},
		{"by key", []bus.SubscribeOption{bus.Concurrency(2, bus.ByKey)}},
		{"unordered", []bus.SubscribeOption{bus.Concurrency(2, bus.Unordered)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 1)
			w.put("s", 0, contents(0, 3)...)
			app := w.app()
			group := w.group("g")
			bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
				if c.N == 1 {
					runtime.Goexit()
				}
				return nil
			}, append(test.opts, bus.Group(group))...)
			err := runs(t, app)
			if err == nil || !strings.Contains(err.Error(), "Goexit") || !strings.Contains(err.Error(), w.prefix+"s/0@1") {
				t.Errorf("Run: %v", err)
			}
			w.waitCommitted(group, "s", map[int32]int64{0: 1})
		})
	}
}
