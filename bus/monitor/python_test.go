package monitor

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
)

// The series of a partition that is revoked go. Those of streams beyond maxStreams stay: a scrape that removed them
// would have the counters begin anew.
func TestSeriesOfOtherStreamsStay(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := newEvents(bus.New(bus.Config{}), reg, true)
	for i := range maxStreams + 1 {
		stream := fmt.Sprint("s", i)
		e.onConsumed(context.Background(), bus.Consumed{Record: &bus.Record{Stream: stream, Topic: stream}, Group: "g",
			Outcome: bus.OutcomeHandled})
	}
	e.python.forget(new(bus.Stats), e.consumed)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "kafkaesk_consumed_messages_total" {
			continue
		}
		if m := family.GetMetric(); len(m) == 1 && m[0].GetCounter().GetValue() == 1 {
			return
		}
		t.Fatalf("%v, want that of one stream", family)
	}
	t.Error("the series of other streams is gone")
}
