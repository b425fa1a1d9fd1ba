package bus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestABootstrapServerThatDoesNotCoordinateIsEnough(t *testing.T) {
	t.Parallel()
	joinElsewhere(t, newWorld(t, kafkatest.Nodes(3), embedded()))
}

// Both use one cluster, because three Java processes take their time to start.
func TestThreeRealNodes(t *testing.T) {
	w := newWorld(t, kafkatest.Nodes(3), kafkatest.Own())
	if !w.cluster.CanKill() {
		t.Skip("the embedded broker's nodes go together: run with KAFKA=apache")
	}
	t.Run("a bootstrap server that does not coordinate is enough", func(t *testing.T) { joinElsewhere(t, w.in(t)) })
	t.Run("killing one loses nothing", func(t *testing.T) { killOneNode(t, w.in(t)) })
}

// in returns the world for a subtest, with streams of its own.
func (w *world) in(t *testing.T) *world {
	return &world{t: t, cluster: w.cluster, prefix: w.cluster.Prefix(t), raw: w.raw}
}

// killOneNode kills the node that coordinates the group and leads a third of the partitions, while records are
// published and consumed.
func killOneNode(t *testing.T, w *world) {
	const records, partitions = 60_000, 7
	group, book := w.group("killed"), newChaosBook(t, records, partitions)
	ctx := within(t, 2*time.Minute)
	begin := time.Now()
	var helpers sync.WaitGroup
	published := make(chan struct{})
	helpers.Go(func() {
		defer close(published)
		publishNumbered(ctx, w, records) // which also makes the stream, with a replica on each node
	})
	for range 2 {
		app := w.app()
		bus.MustSubscribe(app, "work", func(_ context.Context, m *bus.Message[Numbered]) error {
			book.begin(m.Data.ID, chaosSpot{m.Record.Partition, m.Record.Offset})
			defer book.end(m.Data.ID)
			time.Sleep(100 * time.Microsecond) // or all is over before a node is dead
			return nil
		}, bus.Group(group))
		app.OnConsumed(func(_ context.Context, r bus.Consumed) {
			if r.Outcome == bus.OutcomeHandled {
				book.finish(chaosSpot{r.Record.Partition, r.Record.Offset})
			}
		})
		running(t, app)
	}
	sampling, enough := context.WithCancel(ctx)
	defer enough()
	helpers.Go(func() { w.sample(sampling, book, group, "work") })
	reach := func(n int) {
		t.Helper()
		for book.handled() < n {
			select {
			case <-ctx.Done():
				t.Fatalf("%d of %d records are handled: it does not go on", book.handled(), n)
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	reach(records / 6)
	first, addresses := w.coordinator(group)
	node := slices.Index(w.cluster.Servers(), addresses[first])
	before := book.handled()
	w.cluster.Kill(node)
	killed := time.Now()
	reach(min(before+records/2, records)) // all of the dead node's partitions have to take part sooner or later
	withoutIt := time.Since(killed)
	second, _ := w.coordinator(group)
	w.cluster.Restart(node)
	reach(records)
	<-published
	w.waitCommitted(group, "work", w.ends("work"))
	took := time.Since(begin)
	enough()
	helpers.Wait()
	t.Attr("figures", fmt.Sprintf("%s; coordinator %d killed, then %d; %d handled within %v without it; %v in all",
		book.summary(), first, second, records/2, withoutIt.Round(time.Millisecond), took.Round(time.Millisecond)))
	if first == second {
		t.Error("the coordinator did not move")
	}
}

// joinElsewhere gives the members a server that does not coordinate their group. A heartbeat that goes to whatever
// broker is configured would be refused, and the member would learn of nothing.
func joinElsewhere(t *testing.T, w *world) {
	const interval = time.Second
	w.stream("work", 4)
	group := w.group("elsewhere")
	coordinator, addresses := w.coordinator(group)
	var others []string
	for id, address := range addresses {
		if id != coordinator {
			others = append(others, address)
		}
	}
	config := bus.Config{Servers: others[:1],
		Settings: quick(bus.Settings{"heartbeat_interval_ms": int(interval.Milliseconds()), "session_timeout_ms": 3000})}
	join := func() *bus.App {
		app := w.app(config)
		bus.MustSubscribe(app, "work", new(numbers).handle, bus.Group(group))
		running(t, app)
		return app
	}
	a := join()
	stable(t, 4, a)
	beats, last := 0, time.Time{}
	eventually(t, func() bool {
		if beat := stats(a).LastHeartbeat; beat.After(last) {
			last = beat
			beats++
		}
		return beats >= 4 // for longer than a session
	}, says("heartbeats are not answered"))
	b := join()
	eventually(t, func() bool { return stats(b).State == "joining" || stats(b).State == "stable" },
		says("the second member does not join"))
	begin := time.Now()
	eventually(t, func() bool { s := stats(a); return s.State != "stable" || s.Rebalances > 1 },
		says("the first member does not notice the second"))
	noticed := time.Since(begin)
	stable(t, 4, a, b)
	t.Attr("figures", fmt.Sprintf("heartbeats every %v: a rebalance is noticed after %v", interval,
		noticed.Round(time.Millisecond)))
	if limit := interval + time.Second; noticed > limit {
		t.Errorf("it took more than %v", limit)
	}
	if stats(a).Rebalances != 2 {
		t.Errorf("%d generations, want 2: has the member been expelled?", stats(a).Rebalances)
	}
}
