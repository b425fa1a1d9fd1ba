package bus_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A program that is deployed with fewer delays than before handles what waits in the retry streams that it no longer
// writes to.
func TestWhatWaitsBehindTheLastDelayIsHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)

	var before list[visit]
	app := w.app()
	bus.MustSubscribe(app, "s", visiting(&before, func(visit) error {
		return errBroken
	}), bus.Group(group), bus.RetryTopics(time.Millisecond, 2*time.Second))
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).Postponed == 4 },
		func() string { return fmt.Sprintf("%+v", stats(app)) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	var after list[visit]
	app = w.app()
	bus.MustSubscribe(app, "s", visiting(&after, func(v visit) error {
		if v.n == 0 {
			return nil
		}
		return errors.New("still")
	}), bus.Group(group), bus.RetryTopics(time.Hour))
	stop = running(t, app)
	eventually(t, func() bool { return stats(app).DeadLettered == 1 },
		func() string { return fmt.Sprintf("%+v", stats(app)) })
	w.waitCommitted(group, "s."+group+".retry.2", w.ends("s."+group+".retry.2"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, v := range after.get() {
		if v.stream != "s."+group+".retry.2" {
			t.Errorf("%d came from %s", v.n, v.stream)
		}
	}
	if after.len() != 2 {
		t.Errorf("%d were handled", after.len())
	}
	if dead := deadLetters(t, app, "s", group); len(dead) != 1 || header(dead[0], bus.AttemptsHeader) != "3" {
		t.Errorf("dead letters %v", dead)
	}
}
