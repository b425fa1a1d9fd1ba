package monitor

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
)

const (
	// maxStreams is the number of streams with series of their own: an application may derive stream names from data.
	maxStreams = 1000
	// otherStreams is the label of all other streams. No stream name can contain a parenthesis.
	otherStreams = "(other)"
)

// events counts and measures the App's records.
type events struct {
	streams streamLabels
	python  *pythonEvents // nil without PythonMetrics

	consumed  *prometheus.CounterVec
	handler   *prometheus.HistogramVec
	lead      *prometheus.HistogramVec
	published *prometheus.CounterVec
	publish   *prometheus.HistogramVec
}

// newEvents registers the metrics and the App's callbacks that count.
func newEvents(app *bus.App, reg prometheus.Registerer, python bool) *events {
	e := &events{streams: streamLabels{seen: make(map[string]*streamCounts), other: streamCounts{stream: otherStreams}}}
	consumed, published := []string{"stream", "group", "outcome"}, []string{"stream", "error"}
	if python {
		// Python has the same two names. One series has the labels of both, so that no sum counts a record twice.
		consumed = append(consumed, "stream_id", "group_id", "partition", "error")
		published = append(published, "stream_id", "partition")
		e.python = newPythonEvents(app, reg)
	}
	e.consumed = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafkaesk_consumed_messages_total",
		Help: "Records that a subscription has finished, by outcome."}, consumed)
	e.handler = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kafkaesk_handler_duration_seconds",
		Help:    "Time to finish a record: all attempts, the pauses between them, and the writing of its dead letter.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"stream", "group"})
	e.lead = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kafkaesk_message_lead_time_seconds",
		Help:    "From the timestamp of a record until it is finished.",
		Buckets: []float64{.01, .1, .5, 1, 3, 5, 10, 30, 60, 120, 300, 900, 3600}}, []string{"stream", "group"})
	e.published = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafkaesk_published_messages_total",
		Help: "Publishes by error; none when the record was acknowledged. Records of log handlers are not counted."},
		published)
	e.publish = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kafkaesk_publish_duration_seconds",
		Help:    "From the call of a publish to its outcome.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}}, []string{"stream"})
	reg.MustRegister(e.consumed, e.handler, e.lead, e.published, e.publish)
	app.OnConsumed(e.onConsumed)
	app.OnPublished(e.onPublished)
	return e
}

func (e *events) onConsumed(_ context.Context, c bus.Consumed) {
	counts := e.streams.of(c.Record.Stream)
	counts.consumed.Add(1)
	g := e.group(counts, c.Group)
	g.handler.Observe(c.Duration.Seconds())
	g.lead.Observe(c.Latency.Seconds())
	if counter := g.outcomes[c.Outcome]; counter != nil {
		counter.Inc()
		return
	}
	labels := []string{counts.stream, c.Group, string(c.Outcome)}
	if e.python != nil {
		labels = append(labels, e.python.onConsumed(&c, counts.stream)...)
	}
	e.consumed.WithLabelValues(labels...).Inc()
}

// recordMetrics are the metrics of one group and stream. A lookup by labels for each record would cost as much as
// reading the record.
type recordMetrics struct {
	outcomes      map[bus.Outcome]prometheus.Counter // nil with Python's labels, which differ by record
	handler, lead prometheus.Observer
}

// group returns the metrics of a group and a stream, and creates the series of every outcome: Prometheus sees no
// increase in a counter that it never saw at 0.
func (e *events) group(counts *streamCounts, group string) *recordMetrics {
	if g, ok := counts.groups.Load(group); ok {
		return g.(*recordMetrics)
	}
	g := &recordMetrics{
		handler: e.handler.WithLabelValues(counts.stream, group), lead: e.lead.WithLabelValues(counts.stream, group),
	}
	if e.python == nil {
		g.outcomes = make(map[bus.Outcome]prometheus.Counter)
		for _, outcome := range []bus.Outcome{bus.OutcomeHandled, bus.OutcomeRejected, bus.OutcomePostponed,
			bus.OutcomeDeadLetter, bus.OutcomeFailed, bus.OutcomeUnfinished} {
			g.outcomes[outcome] = e.consumed.WithLabelValues(counts.stream, group, string(outcome))
		}
	}
	known, _ := counts.groups.LoadOrStore(group, g)
	return known.(*recordMetrics)
}

// expect creates the series of all current subscriptions before their first record.
func (e *events) expect(stats *bus.Stats) {
	for i := range stats.Subscriptions {
		s := &stats.Subscriptions[i]
		for _, stream := range s.Streams {
			e.group(e.streams.of(stream), s.Group)
		}
	}
}

func (e *events) onPublished(p bus.Published) {
	counts := e.streams.of(p.Stream)
	if p.Err == nil {
		counts.published.Add(1)
	}
	stream := counts.stream
	labels := []string{stream, errorLabel(p.Err)}
	if e.python != nil {
		labels = append(labels, e.python.onPublished(&p, stream)...)
	}
	e.published.WithLabelValues(labels...).Inc()
	e.publish.WithLabelValues(stream).Observe(p.Duration.Seconds())
}

// errorLabel classifies an error by one of a fixed set of words.
func errorLabel(err error) string {
	invalid, isInvalid := errors.AsType[*bus.ValidationError](err)
	switch {
	case err == nil:
		return "none"
	case isInvalid && invalid != nil:
		return "invalid"
	case errors.Is(err, bus.ErrUnacknowledged):
		return "unacknowledged"
	case errors.Is(err, bus.ErrTooLarge):
		return "too_large"
	case errors.Is(err, bus.ErrAuth):
		return "auth"
	case errors.Is(err, bus.ErrClosed):
		return "closed"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return "other"
}

// streamLabels bounds the number of streams with a label of their own, and counts for each.
type streamLabels struct {
	mu    sync.RWMutex
	seen  map[string]*streamCounts
	other streamCounts
}

// streamCounts are the counts from which the page shows the rates of a stream.
type streamCounts struct {
	stream              string // the label
	published, consumed atomic.Uint64
	groups              sync.Map // of names of groups to *recordMetrics
}

// of returns the counts of a stream. It may be called concurrently.
func (s *streamLabels) of(stream string) *streamCounts {
	s.mu.RLock()
	counts := s.seen[stream]
	s.mu.RUnlock()
	if counts != nil {
		return counts
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts = s.seen[stream]; counts != nil {
		return counts
	}
	if len(s.seen) >= maxStreams || !validLabel(stream) {
		return &s.other
	}
	counts = &streamCounts{stream: strings.Clone(stream)}
	s.seen[counts.stream] = counts
	return counts
}

// all returns the counts of the streams with a label of their own.
func (s *streamLabels) all() []*streamCounts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.seen))
}

// validLabel reports whether Kafka allows this stream name. The bus refuses to publish to other names and reports
// that.
func validLabel(stream string) bool {
	return stream != "" && len(stream) <= 249 && !strings.ContainsFunc(stream, func(c rune) bool {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		return !letter && !('0' <= c && c <= '9') && c != '.' && c != '-' && c != '_'
	})
}
