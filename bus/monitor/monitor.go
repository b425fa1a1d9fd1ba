package monitor

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

// Option is an option of [Handler].
type Option func(*options)

type options struct {
	python bool
	hosts  []string
}

// Hosts allows requests over a loopback address under these names, beside localhost and IP addresses. Give it the
// name under which a proxy on the same machine passes requests on. Other names are refused there, because a foreign
// page in a browser on the machine could read what the monitor shows (DNS rebinding). Requests over other addresses
// are answered under every name.
func Hosts(names ...string) Option { return func(o *options) { o.hosts = append(o.hosts, names...) } }

// PythonMetrics adds the metrics of Python's kafkaesk under their names and labels, for existing dashboards:
// consumed_message_elapsed_time, message_lead_time, published_messages_time, consumed_topic_offset,
// produced_topic_offset, consumer_health, and consumer_rebalanced_total without its label partition.
// published_messages_total and consumed_messages_total exist in both. They get Python's labels beside ours: stream_id
// (the topic) and partition, and the consumed ones also group_id and error. Each partition then has series of its own,
// until it is revoked.
func PythonMetrics() Option { return func(o *options) { o.python = true } }

// monitor is the state of a Handler.
type monitor struct {
	app        *bus.App
	monitoring monitoring.App
	events     *events
	metrics    http.Handler
	cluster    *cluster
	history    history
	started    time.Time // when the handler was created, at the program's start
}

// Handler returns a handler that shows the App: see the package comment. It adds a function to [bus.App.OnConsumed]:
// make it before [bus.App.Run], and once for each App. It may be mounted under any prefix with http.StripPrefix. It
// starts no goroutine.
func Handler(app *bus.App, opts ...Option) http.Handler {
	if app == nil {
		app = bus.New(bus.Config{}) // it reports that it is not initialized
	}
	var o options
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(newStatsCollector(app, o.python), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &monitor{
		app: app, monitoring: app.Monitoring(), events: newEvents(app, reg, o.python),
		metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		cluster: newCluster(app), started: time.Now().UTC(),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", m.scrape)
	mux.HandleFunc("GET /livez", m.livez)
	mux.HandleFunc("GET /readyz", m.readyz)
	m.api(mux)
	newPage(m).add(mux)
	return webpage.Protect(mux, webpage.Policy{Hosts: o.hosts, AnyBeyondLoopback: true})
}

// scrape answers with the metrics.
func (m *monitor) scrape(w http.ResponseWriter, r *http.Request) {
	stats := m.app.Stats()
	m.history.addSample(time.Now(), &stats, m.events.streams.all())
	m.events.expect(&stats)
	if m.events.python != nil {
		m.events.python.forget(&stats, m.events.consumed)
	}
	m.metrics.ServeHTTP(w, r)
}
