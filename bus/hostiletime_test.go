package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A producer may give a record any time that fits into 64 bits. It spoils neither Stats nor a dead letter.
func TestAnyTimestampIsHarmless(t *testing.T) {
	t.Parallel()
	for ms, want := range map[int64]string{
		math.MaxInt64: "9999-12-31T23:59:59.999999999Z", -2: "1969-12-31T23:59:59.998Z", -1: "",
		math.MinInt64 / 2: "0000-01-01T00:00:00Z",
	} {
		t.Run(fmt.Sprint(ms), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, embedded()) // a real broker refuses most of them, but not all
			group := w.group("g")
			w.stream("s", 1)
			app := w.app()
			if err := app.PublishRaw(t.Context(), "s", []byte("v"), bus.Timestamp(time.UnixMilli(ms))); err != nil {
				t.Fatal(err)
			}
			entered, leave := make(chan struct{}), make(chan struct{})
			bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
				if r.Time.UnixMilli() != ms {
					t.Errorf("the record's time is %d", r.Time.UnixMilli())
				}
				close(entered)
				<-leave
				return bus.Reject(errBroken)
			}, bus.Group(group), bus.DeadLetter())
			stop := running(t, app)
			<-entered
			text, err := json.Marshal(app.Stats())
			close(leave)
			if err != nil || !json.Valid(text) {
				t.Errorf("Stats as JSON: %v", err)
			}
			eventually(t, func() bool { return stats(app).DeadLettered == 1 }, says("no dead letter"))
			if err := stop(); err != nil {
				t.Error(err)
			}
			all := deadLetters(t, app, "s", group)
			if len(all) != 1 || header(all[0], bus.FirstTimeHeader) != want {
				t.Errorf("%d dead letters, of the time %q, want %q", len(all), header(all[0], bus.FirstTimeHeader), want)
			}
		})
	}
}
