package slogkafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// Whatever the policy and the broker do, at every moment each record is in one count, the topic holds what was
// delivered, and the fallback what was dropped, as far as it keeps up. With KAFKAESK_PROOF=1 (make proof) the cells
// have 16 x 20,000 records, and for each policy one, with another state of the broker, has 16 x 1,000,000.
func TestEveryRecordIsInOneCount(t *testing.T) {
	policies := map[string]slogkafka.Policy{
		"drop newest": slogkafka.DropNewest, "drop oldest": slogkafka.DropOldest,
		"block": slogkafka.Block(time.Microsecond),
		"spool": nil,
	}
	million := map[string]string{"drop newest": "up", "drop oldest": "slow", "block": "away", "spool": "back"}
	for name, policy := range policies {
		for _, broker := range []string{"up", "slow", "away", "back"} {
			t.Run(name+", broker "+broker, func(t *testing.T) {
				each := 2000
				switch proof := os.Getenv("KAFKAESK_PROOF") != ""; {
				case proof && broker == million[name]:
					each = 1_000_000
				case proof:
					each = 20_000
				}
				if name == "spool" {
					policy = slogkafka.Spool(t.TempDir(), 1<<30)
				}
				conserve(t, policy, broker, 16, each)
			})
		}
	}
}

func conserve(t *testing.T, policy slogkafka.Policy, broker string, goroutines, each int) {
	cluster := kafkatest.Start(t, kafkatest.Own(), kafkatest.Kfake())
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: slog.New(slog.DiscardHandler)})
	var fell atomic.Int64
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(1000, 0), slogkafka.Overflow(policy),
		slogkafka.Fallback(counter{&fell}))
	remove := disturb(cluster, broker)
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			default:
				addsUp(t, h.Stats())
			}
		}
	}()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			logger := slog.New(h).With("g", g)
			for i := range each {
				logger.Info("m", "i", i)
			}
		})
	}
	wg.Wait()
	if broker == "back" {
		remove()
	}
	limit := 10 * time.Minute
	if broker == "away" {
		limit = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := h.Close(ctx)
	if (err != nil) != (broker == "away") && h.Stats().Spooled == 0 { // Close may have spooled them all
		t.Errorf("Close returned %v", err)
	}
	close(stop)
	<-watched
	remove()
	s := h.Stats()
	addsUp(t, s)
	late := uint64(fell.Load()) - s.Fallback // a call that Close did not wait for has perhaps returned since
	if s.Accepted != uint64(goroutines*each) || s.Queued != 0 || s.Fallback+s.FallbackDropped != s.Dropped || late > 1 ||
		s.Lost != s.FallbackDropped ||
		s.Spooled > 0 && broker != "away" {
		t.Errorf("the fallback has %d; the counts are %+v", fell.Load(), s)
	}
	if broker != "away" { // records of requests that Close ended may be there all the same
		if n := records(t, app); n != s.Delivered {
			t.Errorf("the topic has %d records; the counts are %+v", n, s)
		}
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	t.Attr("figures", fmt.Sprintf("%d accepted, %d delivered, %d spooled, %d dropped, %d of them to the fallback",
		s.Accepted, s.Delivered, s.Spooled, s.Dropped, s.Fallback))
}

// disturb brings the broker into its state. The function it returns ends that, and may be called again.
func disturb(cluster *kafkatest.Cluster, broker string) (end func()) {
	fake := cluster.Fake()
	var over atomic.Bool
	switch broker {
	case "slow":
		fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			if !over.Load() {
				fake.KeepControl()
				fake.SleepControl(func() { time.Sleep(20 * time.Millisecond) })
			}
			return nil, nil, false
		})
	case "away", "back":
		return fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1}).Remove
	}
	return func() { over.Store(true) }
}

func addsUp(t *testing.T, s slogkafka.Stats) {
	t.Helper()
	if s.Accepted+s.Recovered != s.Delivered+s.Dropped+s.Spooled+s.Queued {
		t.Errorf("the counts do not add up: %+v", s)
	}
}

// counter counts what it gets of records, and leaves out what the handler has to say itself.
type counter struct{ n *atomic.Int64 }

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c counter) WithGroup(string) slog.Handler            { return c }
func (c counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "m" {
		c.n.Add(1)
	}
	return nil
}

// records counts those of the topic that are not the handler's own.
func records(t *testing.T, app *bus.App) (n uint64) {
	t.Helper()
	for r, err := range app.Tail(within(t, 10*time.Minute), "logs", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatal(err)
		}
		record, err := logrecord.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if record.Message == "m" {
			n++
		}
	}
	return n
}
