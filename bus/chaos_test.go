package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// The consumer's main test: members come and go at random, handlers fail and panic, coordinators and leaders move, and
// nothing may be lost, committed too early or out of order. What happens when is decided by the seed and by how many
// records are handled, never by a clock.
func TestThirtyMembersComeAndGo(t *testing.T) {
	t.Run("by partition, leaders and coordinators move", func(t *testing.T) {
		t.Parallel()
		c := newChaos(t, 50_000, kafkatest.Nodes(3), embedded())
		c.byPartition = true
		c.run(20, 10)
	})
	t.Run("by key and by partition, leaders and coordinators move", func(t *testing.T) {
		t.Parallel()
		newChaos(t, 200_000, kafkatest.Nodes(3), embedded()).run(20, 10)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		if !kafkatest.Start(t).IsReal() {
			t.Skip("the embedded broker has the harder tests above: run with KAFKA=apache")
		}
		newChaos(t, 200_000).run(0, 0)
	})
}

const (
	chaosPartitions = 12
	chaosMembers    = 30
	chaosAtFirst    = 6
	chaosPoison     = 100
	chaosAttempts   = 4
	chaosSession    = 30 * time.Second
)

// chaos is one such run.
type chaos struct {
	t       *testing.T
	w       *world
	l       *chaosBook
	group   string
	records int
	seed    uint64
	random  *rand.Rand
	poison  map[int]bool
	log     logged
	// byPartition: no member works by key. Then nothing that is finished lies beyond a record that is not, and a rebalance
	// repeats nothing.
	byPartition bool

	deadLettered   atomic.Int64 // dead letters as OnConsumed tells them
	errors, panics atomic.Int64
	members        []*chaosMember // those that are in
	joined         int
}

type chaosMember struct {
	app    *bus.App
	cancel context.CancelFunc
	ended  chan error
}

func newChaos(t *testing.T, records int, opts ...kafkatest.Option) *chaos {
	c := &chaos{
		t: t, w: newWorld(t, opts...), l: newChaosBook(t, records, chaosPartitions), records: records,
		seed: rand.Uint64(), poison: make(map[int]bool),
	}
	c.group = c.w.group("chaos")
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	t.Logf("seed %d", c.seed)
	t.Cleanup(func() { // when the test ends in the middle
		for len(c.members) > 0 {
			c.leave()
		}
	})
	for len(c.poison) < chaosPoison {
		c.poison[c.random.IntN(c.records)] = true
	}
	return c
}

func (c *chaos) run(shuffles, moves int) {
	t := c.t
	c.w.stream("work", chaosPartitions)
	ctx := within(t, 3*time.Minute)
	begin := time.Now()
	for range chaosAtFirst {
		c.join()
	}
	var helpers sync.WaitGroup
	published := make(chan struct{})
	helpers.Go(func() {
		defer close(published)
		publishNumbered(ctx, c.w, c.records)
	})
	sampling, enough := context.WithCancel(ctx)
	if fake := c.w.cluster.Fake(); fake != nil {
		fake.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.l.sent(r.(*kmsg.OffsetCommitRequest))
			return nil, nil, false
		})
	}
	helpers.Go(func() { c.w.sample(sampling, c.l, c.group, "work") })

	disturbances := c.disturbances(shuffles, moves)
	for i, disturb := range disturbances {
		c.reach(ctx, (i+1)*c.records/(len(disturbances)+1))
		disturb()
	}
	c.reach(ctx, c.records)
	took := time.Since(begin)
	<-published
	c.w.waitCommitted(c.group, "work", c.w.ends("work"))
	enough()
	helpers.Wait()
	for len(c.members) > 0 {
		c.leave()
	}
	c.l.sample(c.w.committed(c.group, "work"))

	letters := c.letters()
	// Everyone who goes says so: nobody may have to wait for the end of a session.
	if c.l.pause >= chaosSession/2 {
		t.Errorf("nothing was handled for %v", c.l.pause)
	}
	if _, again := c.l.count(); c.byPartition && again > 0 && !c.log.has("the last commit of the generation has failed") {
		t.Errorf("%d records were handled again, though nobody crashed and every commit arrived\n%s", again, &c.log)
	}
	t.Attr("figures", fmt.Sprintf("seed %d: %s; %d members, %d leader shuffles, %d coordinator moves, %d errors, %d "+
		"panics, %d dead letters of %d poison records, %v",
		c.seed, c.l.summary(), c.joined, shuffles, moves, c.errors.Load(), c.panics.Load(), letters, chaosPoison,
		took.Round(time.Millisecond)))
}

// disturbances returns what is done to the group, in random order.
func (c *chaos) disturbances(shuffles, moves int) []func() {
	var all []func()
	for range shuffles {
		all = append(all, func() { c.w.cluster.Fake().ShufflePartitionLeaders() })
	}
	for range moves {
		all = append(all, func() { c.w.cluster.Fake().RehashCoordinators() })
	}
	for range chaosMembers - chaosAtFirst {
		all = append(all, c.join, func() {
			if len(c.members) > 2 {
				c.leave()
			}
		})
	}
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// reach waits until so many records are handled.
func (c *chaos) reach(ctx context.Context, n int) {
	c.t.Helper()
	for c.l.handled() < n {
		for _, m := range c.members {
			select {
			case err := <-m.ended:
				c.t.Fatalf("a member ended: %v", err)
			default:
			}
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("%d of %d records are handled: it does not go on", c.l.handled(), n)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// join adds a member. Some work by partition and some by key: both keep the order of a key.
func (c *chaos) join() {
	c.joined++
	app := c.w.unclosed(bus.Config{
		Settings: quick(bus.Settings{"session_timeout_ms": int(chaosSession.Milliseconds()), "auto_commit_interval_ms": 50}),
		Logger:   c.log.logger(),
	})
	opts := []bus.SubscribeOption{bus.Group(c.group), fast(chaosAttempts), bus.DeadLetter()}
	if !c.byPartition && c.random.IntN(2) == 0 {
		opts = append(opts, bus.Concurrency(4, bus.ByKey))
	}
	bus.MustSubscribe(app, "work", c.handle, opts...)
	app.OnConsumed(func(_ context.Context, r bus.Consumed) {
		switch r.Outcome {
		case bus.OutcomeDeadLetter:
			c.deadLettered.Add(1)
			fallthrough
		case bus.OutcomeHandled:
			c.l.finish(chaosSpot{r.Record.Partition, r.Record.Offset})
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	m := &chaosMember{app: app, cancel: cancel, ended: make(chan error, 1)}
	go func() { m.ended <- app.Run(ctx) }()
	c.members = append(c.members, m)
}

// leave takes out a member at random: half of them by the end of Run, half by Close.
func (c *chaos) leave() {
	i := c.random.IntN(len(c.members))
	m := c.members[i]
	c.members = append(c.members[:i], c.members[i+1:]...)
	if c.random.IntN(2) == 0 {
		m.cancel()
		if err := result(c.t, m.ended); err != nil {
			c.t.Errorf("Run: %v", err)
		}
		closeApp(c.t, m.app)
		return
	}
	closeApp(c.t, m.app)
	if err := result(c.t, m.ended); err != nil && !errors.Is(err, bus.ErrClosed) { // it may have been on its way in
		c.t.Errorf("Run: %v", err)
	}
	m.cancel()
}

// handle fails at the first attempt for 5 of 100 records, panics for 1 of them, and always for those that are poison.
func (c *chaos) handle(_ context.Context, m *bus.Message[Numbered]) error {
	id := m.Data.ID
	attempt := c.l.begin(id, chaosSpot{m.Record.Partition, m.Record.Offset})
	defer c.l.end(id)
	luck := rand.New(rand.NewPCG(c.seed, uint64(id))).IntN(100)
	switch {
	case c.poison[id]:
		return errors.New("poison")
	case attempt > 1:
		return nil
	case luck < 5:
		c.errors.Add(1)
		return errors.New("not now")
	case luck == 5:
		c.panics.Add(1)
		panic("ouch")
	}
	return nil
}

// letters checks that the dead letters are exactly the poison records, and returns how many there are. One is there
// twice only when its record was given up twice, because it was read again after a rebalance.
func (c *chaos) letters() int {
	app := c.w.app()
	found, all := make(map[int]int), 0
	for _, r := range readAll(c.t, app, "work."+c.group+".dead") {
		var id int
		if _, err := fmt.Sscanf(string(r.Value), `{"schema":"Numbered:1","data":{"id":%d`, &id); err != nil {
			c.t.Fatalf("%s: %v", r.Value, err)
		}
		found[id]++
		all++
	}
	for id := range found {
		if !c.poison[id] {
			c.t.Errorf("record %d is among the dead letters and no poison", id)
		}
	}
	if len(found) != chaosPoison || all != int(c.deadLettered.Load()) {
		c.t.Errorf("%d dead letters of %d records, want %d of %d", all, len(found), c.deadLettered.Load(), chaosPoison)
	}
	return all
}
