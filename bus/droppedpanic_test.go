package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A function of OnConsumed that panics for a record that waits, when the App closes, ends Run and not the program.
func TestAPanicOfOnConsumedForAWaitingRecordEndsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	app.OnConsumed(func(context.Context, bus.Consumed) { panic("not observed today") })
	bus.MustSubscribe(app, "s", func(context.Context, Content) error {
		return bus.RetryAfter(time.Hour, errBroken)
	}, bus.Group(w.group("g")))
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).Retried == 1 }, says("the record does not wait"))
	if err := stop(); err == nil || !strings.Contains(err.Error(), "not observed today") {
		t.Errorf("Run: %v", err)
	}
}

// A function of OnConsumed that panics does not replace the error that ends Run.
func TestAPanicOfOnConsumedKeepsTheErrorOfRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	app.OnConsumed(func(context.Context, bus.Consumed) { panic("not observed today") })
	bus.MustSubscribe(app, "s", func(context.Context, Content) error { return bus.Abort(errBroken) },
		bus.Group(w.group("g")))
	if err := runs(t, app); !errors.Is(err, errBroken) {
		t.Errorf("Run: %v, want the error of the handler", err)
	}
}
