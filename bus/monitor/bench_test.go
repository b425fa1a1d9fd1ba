package monitor

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
)

// What the metrics cost for each record that is handled, with as many streams and groups as a service has.
func BenchmarkConsumed(b *testing.B) {
	for _, python := range []bool{false, true} {
		b.Run(map[bool]string{false: "ours", true: "with Python's"}[python], func(b *testing.B) {
			e := newEvents(bus.New(bus.Config{}), prometheus.NewRegistry(), python)
			consumed := bus.Consumed{Record: &bus.Record{Stream: "orders", Topic: "orders", Partition: 3}, Group: "billing",
				Outcome: bus.OutcomeHandled, Duration: time.Millisecond, Latency: time.Second}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					e.onConsumed(context.Background(), consumed)
				}
			})
		})
	}
}
