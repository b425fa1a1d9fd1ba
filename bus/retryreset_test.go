package bus_test

import (
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A retry stream that has other offsets than the group has committed, because it was made anew or its beginning was
// deleted: what waits there is handled whatever auto_offset_reset says, or records would be lost that the group has put
// there itself.
func TestARetryStreamIsNeverPassedOver(t *testing.T) {
	t.Parallel()
	for _, reset := range []string{"earliest", "latest", "none"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.group("g")
			waiting := "s." + group + ".retry.1"
			w.stream(waiting, 1)
			w.put(waiting, 0, contents(0, 10)...)
			w.commit(group, waiting, 0, 500)
			app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": reset})})
			var got numbers
			bus.MustSubscribe(app, "s", got.handle, bus.Group(group), bus.RetryTopics(time.Second))
			stop := running(t, app)
			got.wait(t, 10)
			w.waitCommitted(group, waiting, map[int32]int64{0: 10})
			if s := stats(app); s.OutOfRange != 1 {
				t.Errorf("out of range %d times", s.OutOfRange)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
