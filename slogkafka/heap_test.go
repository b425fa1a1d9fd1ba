package slogkafka_test

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// With a broker that takes nothing the live heap grows by what QueueSize says, and a tenth, however much is logged: the
// copies that the producer has are a part of it, and so is what is on its way to the disk and back. With
// KAFKAESK_PROOF=1 (make proof) 100,000 records a second are logged until the queue has been full for two minutes.
func TestTheHeapStaysWithinTheBound(t *testing.T) {
	for name, policy := range map[string]slogkafka.Policy{
		"drop newest": slogkafka.DropNewest, "drop oldest": slogkafka.DropOldest,
		"block": slogkafka.Block(time.Microsecond), "spool": slogkafka.Spool(t.TempDir(), 16<<20),
	} {
		t.Run(name, func(t *testing.T) { heapWithin(t, policy) })
	}
}

func heapWithin(t *testing.T, policy slogkafka.Policy) {
	const bound = 32 << 20
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: slog.New(slog.DiscardHandler)})
	if err := app.Initialize(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	fault := cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	defer fault.Remove()
	before := liveHeap()
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(0, bound), slogkafka.Overflow(policy),
		slogkafka.Fallback(slog.DiscardHandler))
	logger, text := slog.New(h), strings.Repeat("x", 150)
	logTenThousand := func() {
		for range 10_000 {
			logger.Info("m", "text", text)
		}
	}
	var grown int64
	measure := func() { grown = max(grown, int64(liveHeap())-int64(before)) }
	start := time.Now()
	testkit.Until(t, "the queue is full", func() bool { logTenThousand(); return h.Stats().Dropped > 0 })
	full := time.Now()
	if os.Getenv("KAFKAESK_PROOF") != "" {
		tick := time.NewTicker(time.Second / 10)
		defer tick.Stop()
		for i := 1; time.Since(full) < 2*time.Minute; i++ {
			<-tick.C
			logTenThousand()
			if i%50 == 0 {
				measure()
			}
		}
	}
	logTenThousand()
	testkit.Until(t, "the broker has refused", func() bool { return app.Stats().Producer.Retries > 2 })
	measure()
	t.Attr("figures", fmt.Sprintf("the heap has grown by at most %.1f MiB of %d; the queue was full for %.0f s; "+
		"%.0f records a second were logged", float64(grown)/(1<<20), bound>>20, time.Since(full).Seconds(),
		float64(h.Stats().Accepted)/time.Since(start).Seconds()))
	if grown > bound*11/10 {
		t.Errorf("the heap has grown by %d bytes, the bound is %d; the counts are %+v", grown, bound, h.Stats())
	}
	runtime.KeepAlive(logger)
	fault.Remove()
	if err := app.Close(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
}

func liveHeap() uint64 {
	var m runtime.MemStats
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
