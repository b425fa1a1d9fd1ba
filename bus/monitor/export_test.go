package monitor

import (
	"regexp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
)

var fqName = regexp.MustCompile(`fqName: "(kafkaesk_[a-z_]+)"`)

// MetricNames returns the names of the metrics of kafkaesk that a Handler may have.
func MetricNames(app *bus.App) []string {
	events := newEvents(app, prometheus.NewRegistry(), false)
	descs := make(chan *prometheus.Desc, 1000)
	for _, c := range []prometheus.Collector{newStatsCollector(app, false), events.consumed, events.handler, events.lead,
		events.published, events.publish} {
		c.Describe(descs)
	}
	close(descs)
	var names []string
	for d := range descs {
		names = append(names, fqName.FindStringSubmatch(d.String())[1])
	}
	slices.Sort(names)
	return names
}
