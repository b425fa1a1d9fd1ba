package slogkafka_test

import (
	"fmt"
	"log/slog"
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
// copies that the producer has are a part of it, and so is what is on its way to the disk and back.
func TestTheHeapStaysWithinTheBound(t *testing.T) {
	for name, policy := range map[string]slogkafka.Policy{
		"drop newest": slogkafka.DropNewest, "spool": slogkafka.Spool(t.TempDir(), 1<<30),
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
	for range 5 {
		for range 50_000 {
			logger.Info("m", "text", text)
		}
		testkit.Until(t, "the queue is full", func() bool {
			s := h.Stats()
			return s.QueuedBytes > bound/2 || s.Spooled > 0
		})
	}
	testkit.Until(t, "the broker has refused", func() bool { return app.Stats().Producer.Retries > 2 })
	grown := int64(liveHeap()) - int64(before)
	t.Attr("figures", fmt.Sprintf("the heap has grown by %.1f MiB of %d", float64(grown)/(1<<20), bound>>20))
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
