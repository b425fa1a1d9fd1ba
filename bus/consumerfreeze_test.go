//go:build unix

package bus_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// A program that stands still for longer than its session is no member any more, and does not know. What it had handled
// it must not commit when it wakes up: another has come further.
func TestAConsumerThatFrozeCommitsNothingWhenItWakes(t *testing.T) {
	t.Parallel()
	const records = 20
	w := newWorld(t, kafkatest.ShortSessions())
	w.stream("work", 1)
	group := w.group("frozen")
	number := func(first, n int) (values []string) {
		for id := first; id < first+n; id++ {
			values = append(values, fmt.Sprintf(`{"schema":"Numbered:1","data":{"id":%d}}`, id))
		}
		return values
	}
	w.put("work", 0, number(0, records)...)
	settings := quick(bus.Settings{"session_timeout_ms": 1000, "auto_commit_interval_ms": 3_600_000})
	var frozen, awake list[int]
	p := spawnConsumer(t, consumerConfig{Servers: w.cluster.Servers(), Prefix: w.prefix, Group: group, Settings: settings,
		Pause: 20 * time.Millisecond},
		func(id int, _ chaosSpot) { frozen.add(id) })
	frozen.wait(t, 5)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}

	app := w.app()
	bus.MustSubscribe(app, "work", func(_ context.Context, n Numbered) error {
		awake.add(n.ID)
		return nil
	}, bus.Group(group))
	running(t, app)
	begin := time.Now()
	w.waitCommitted(group, "work", map[int32]int64{0: records})
	takeover := time.Since(begin)
	generations := stats(app).Rebalances
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	lowest := int64(records)
	eventually(t, func() bool {
		lowest = min(lowest, w.committed(group, "work")[0])
		s := stats(app)
		return s.Rebalances > generations && s.State == "stable" // it is back
	}, says("the frozen program does not join again"))
	again := frozen.len()
	w.put("work", 0, number(records, records)...)
	eventually(t, func() bool {
		lowest = min(lowest, w.committed(group, "work")[0])
		return awake.len()+frozen.len() >= again+2*records
	}, func() string { return fmt.Sprintf("handled %v and %v", frozen.get(), awake.get()) })
	p.stop()
	eventually(t, func() bool { return w.committed(group, "work")[0] == 2*records }, says("the last commit"))
	t.Attr("figures", fmt.Sprintf("%d records handled and not committed by the frozen program; taken over after %v, and "+
		"committed to %d; never less than %d after it woke",
		again, takeover.Round(time.Millisecond), records, lowest))
	if lowest < records {
		t.Errorf("the committed offset fell from %d to %d", records, lowest)
	}
}
