package monitor

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// metric converts a value of T to a metric.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

func gauge[T any](name, help string, value func(T) float64, labels ...string) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, value}
}

func counter[T any](name, help string, value func(T) float64, labels ...string) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, value}
}

// groupStats are the sums over an App's subscriptions of one group.
type groupStats struct {
	bus.SubscriptionStats
	group           string
	blocked, paused int
	healthy         bool
}

// logStats are the sums over the log handlers of one stream.
type logStats struct {
	slogkafka.Stats
	stream string
}

// statsCollector collects the App's Stats at each scrape. A series that no longer exists, such as that of a revoked
// partition, is missing from the next scrape, so nothing has to be deleted.
type statsCollector struct {
	app        *bus.App
	monitoring monitoring.App

	build, ready, lag, oldest, logDropped, logOldest *prometheus.Desc
	rebalances                                       []*prometheus.Desc // under our name, and Python's

	groups   []metric[*groupStats]
	producer []metric[*bus.ProducerStats]
	logs     []metric[*logStats]
	brokers  []metric[*kafka.ConnStats]
}

func newStatsCollector(app *bus.App, python bool) *statsCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c := &statsCollector{
		app: app, monitoring: app.Monitoring(),
		build: desc("kafkaesk_build_info", "1, with the versions of kafkaesk and Go that the program was built with.",
			"version", "go_version"),
		ready: desc("kafkaesk_ready", "1 when /readyz is 200, else 0."),
		lag: desc("kafkaesk_consumer_lag", "Records of a partition that the group has not finished, up to the end of the "+
			"partition; open transactions count. No series while it is unknown.", "stream", "group", "partition"),
		oldest: desc("kafkaesk_consumer_oldest_unhandled_timestamp_seconds", "Time of the first record of a partition "+
			"that was read and is not finished. No series without such a record.", "stream", "group", "partition"),
		rebalances: []*prometheus.Desc{desc("kafkaesk_consumer_rebalances_total", "Rebalances of the App's members by "+
			"event: assigned when they get partitions; revoked when they return them in order; lost when the group "+
			"continues without them.", "group", "event")},
		logDropped: desc("kafkaesk_log_dropped_total", "Log records that are lost to Kafka, by reason.", "stream", "reason"),
		logOldest: desc("kafkaesk_log_oldest_timestamp_seconds", "Time of the oldest log record that is queued. No "+
			"series when none is.", "stream"),
		groups: groupMetrics(), producer: producerMetrics(), logs: logMetrics(), brokers: brokerMetrics(),
	}
	if python {
		c.groups = append(c.groups, gauge("kafkaesk_consumer_health", "As kafkaesk_consumer_healthy, under Python's name.",
			healthy, "group_id"))
		c.rebalances = append(c.rebalances, desc("kafkaesk_consumer_rebalanced_total",
			"As kafkaesk_consumer_rebalances_total, under Python's name.", "group_id", "event"))
	}
	return c
}

func healthy(g *groupStats) float64 { return boolean(g.healthy) }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds returns a time in seconds for Prometheus, with Kafka's precision of a millisecond.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

func groupMetrics() []metric[*groupStats] {
	const group = "group"
	return []metric[*groupStats]{
		gauge("kafkaesk_consumer_healthy", "1 when all of the App's subscriptions of the group are healthy, else 0.",
			healthy, group),
		gauge("kafkaesk_consumer_assigned_partitions", "Partitions that the App's members of the group have.",
			func(g *groupStats) float64 { return float64(len(g.Assigned)) }, group),
		gauge("kafkaesk_consumer_paused_partitions", "Partitions whose fetching is paused: their buffer is full, or a "+
			"retry waits.",
			func(g *groupStats) float64 { return float64(g.paused) }, group),
		gauge("kafkaesk_consumer_blocked_partitions", "Partitions that are stopped because a dead letter or retry cannot "+
			"be written.", func(g *groupStats) float64 { return float64(g.blocked) }, group),
		gauge("kafkaesk_consumer_breaker_open", "1 while a breaker of the group is open, else 0.",
			func(g *groupStats) float64 { return boolean(!g.PausedSince.IsZero()) }, group),
		gauge("kafkaesk_consumer_running_handlers", "Handlers that run now.",
			func(g *groupStats) float64 { return float64(g.InFlight) }, group),
		gauge("kafkaesk_consumer_abandoned_handlers", "Handlers that have not returned although their context ended.",
			func(g *groupStats) float64 { return float64(g.Abandoned) }, group),
		gauge("kafkaesk_consumer_waiting_records", "Records that were read and wait for a handler.",
			func(g *groupStats) float64 { return float64(g.Waiting) }, group),
		gauge("kafkaesk_consumer_buffered_bytes", "Memory of records that are handled, wait, or were fetched.",
			func(g *groupStats) float64 { return float64(g.Bytes) }, group),
		counter("kafkaesk_consumer_finished_records_total", "Finished records of every outcome.",
			func(g *groupStats) float64 { return float64(g.Finished) }, group),
		counter("kafkaesk_consumer_retries_total", "Attempts after the first one.",
			func(g *groupStats) float64 { return float64(g.Retried) }, group),
		counter("kafkaesk_consumer_dead_letters_total", "Records that were written as dead letters.",
			func(g *groupStats) float64 { return float64(g.DeadLettered) }, group),
		counter("kafkaesk_consumer_rejected_total", "Rejected records without a dead letter.",
			func(g *groupStats) float64 { return float64(g.Rejected) }, group),
		counter("kafkaesk_consumer_broken_batches_total", "Unreadable batches that were skipped.",
			func(g *groupStats) float64 { return float64(g.Broken) }, group),
		counter("kafkaesk_consumer_out_of_range_total", "Times when the broker no longer had the next offset.",
			func(g *groupStats) float64 { return float64(g.OutOfRange) }, group),
	}
}

func producerMetrics() []metric[*bus.ProducerStats] {
	type stats = *bus.ProducerStats
	return []metric[stats]{
		gauge("kafkaesk_producer_buffered_records", "Records that are published and wait for their acknowledgement.",
			func(s stats) float64 { return float64(s.Records) }),
		gauge("kafkaesk_producer_buffered_bytes", "Memory of these records.",
			func(s stats) float64 { return float64(s.Bytes) }),
		gauge("kafkaesk_producer_requests_in_flight", "Produce requests without a response yet.",
			func(s stats) float64 { return float64(s.InFlight) }),
		counter("kafkaesk_producer_sent_records_total", "Records that were acknowledged.",
			func(s stats) float64 { return float64(s.Sent) }),
		counter("kafkaesk_producer_failed_records_total", "Records that failed for good.",
			func(s stats) float64 { return float64(s.Failed) }),
		counter("kafkaesk_producer_requests_total", "Produce requests that were sent.",
			func(s stats) float64 { return float64(s.Requests) }),
		counter("kafkaesk_producer_batch_retries_total", "Batches that were sent again.",
			func(s stats) float64 { return float64(s.Retries) }),
		counter("kafkaesk_producer_id_resets_total", "Times when a partition changed its producer id. Only then "+
			"can a record be written twice.", func(s stats) float64 { return float64(s.Resets) }),
	}
}

func logMetrics() []metric[*logStats] {
	const stream = "stream"
	return []metric[*logStats]{
		counter("kafkaesk_log_accepted_total", "Log records that the stream's handlers accepted.",
			func(s *logStats) float64 { return float64(s.Accepted) }, stream),
		counter("kafkaesk_log_recovered_total", "Log records that an earlier process left on disk.",
			func(s *logStats) float64 { return float64(s.Recovered) }, stream),
		counter("kafkaesk_log_delivered_total", "Log records that Kafka has acknowledged.",
			func(s *logStats) float64 { return float64(s.Delivered) }, stream),
		counter("kafkaesk_log_lost_total", "Dropped log records that reached neither Kafka nor a fallback, except those "+
			"dropped on purpose.", func(s *logStats) float64 { return float64(s.Lost) }, stream),
		counter("kafkaesk_log_fallback_total", "Dropped log records that the fallback accepted.",
			func(s *logStats) float64 { return float64(s.Fallback) }, stream),
		counter("kafkaesk_log_fallback_dropped_total", "Dropped log records that the fallback did not accept.",
			func(s *logStats) float64 { return float64(s.FallbackDropped) }, stream),
		counter("kafkaesk_log_sampled_total", "Log records that sampling left out. They are not accepted.",
			func(s *logStats) float64 { return float64(s.Sampled) }, stream),
		counter("kafkaesk_log_invalid_total", "Log records that break the schema of their model.",
			func(s *logStats) float64 { return float64(s.Invalid) }, stream),
		counter("kafkaesk_log_truncated_total", "Log records whose values were shortened.",
			func(s *logStats) float64 { return float64(s.Truncated) }, stream),
		counter("kafkaesk_log_retries_total", "Attempts after the first one to deliver a log record.",
			func(s *logStats) float64 { return float64(s.Retries) }, stream),
		gauge("kafkaesk_log_buffer_records", "Log records that are queued or sent, and not acknowledged.",
			func(s *logStats) float64 { return float64(s.Queued) }, stream),
		gauge("kafkaesk_log_buffer_bytes", "Memory of these records.",
			func(s *logStats) float64 { return float64(s.QueuedBytes) }, stream),
		gauge("kafkaesk_log_spooled_records", "Log records on disk.",
			func(s *logStats) float64 { return float64(s.Spooled) }, stream),
	}
}

func brokerMetrics() []metric[*kafka.ConnStats] {
	type stats = *kafka.ConnStats
	const broker = "broker"
	return []metric[stats]{
		gauge("kafkaesk_broker_connections", "Open connections to the broker's address.",
			func(s stats) float64 { return float64(s.Open) }, broker),
		counter("kafkaesk_broker_connects_total", "Connections that were made.",
			func(s stats) float64 { return float64(s.Connects) }, broker),
		counter("kafkaesk_broker_connect_errors_total", "Failed attempts to connect, including TLS handshakes.",
			func(s stats) float64 { return float64(s.Refused) }, broker),
		counter("kafkaesk_broker_read_bytes_total", "Bytes read, inside of TLS.",
			func(s stats) float64 { return float64(s.Read) }, broker),
		counter("kafkaesk_broker_written_bytes_total", "Bytes written, inside of TLS.",
			func(s stats) float64 { return float64(s.Written) }, broker),
	}
}

// Describe implements prometheus.Collector.
func (c *statsCollector) Describe(to chan<- *prometheus.Desc) {
	single := []*prometheus.Desc{c.build, c.ready, c.lag, c.oldest, c.logDropped, c.logOldest}
	for _, d := range slices.Concat(single, c.rebalances) {
		to <- d
	}
	describe(to, c.groups)
	describe(to, c.producer)
	describe(to, c.logs)
	describe(to, c.brokers)
}

func describe[T any](to chan<- *prometheus.Desc, metrics []metric[T]) {
	for _, m := range metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *statsCollector) Collect(to chan<- prometheus.Metric) {
	stats, problems := c.app.Stats(), c.monitoring.Problems()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	set(c.build, 1, buildinfo.Version(), runtime.Version())
	set(c.ready, boolean(len(notReady(&stats, c.monitoring)) == 0))
	emit(to, c.producer, &stats.Producer)
	for _, g := range sumGroups(&stats, problems) {
		emit(to, c.groups, g, g.group)
		for event, n := range map[string]uint64{"assigned": g.Rebalances, "revoked": g.Revoked, "lost": g.Lost} {
			for _, d := range c.rebalances {
				to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), g.group, event)
			}
		}
		for i := range g.Assigned {
			p := &g.Assigned[i]
			labels := []string{p.Stream, g.group, strconv.Itoa(p.Partition)}
			if p.Lag >= 0 {
				set(c.lag, float64(p.Lag), labels...)
			}
			if !p.Oldest.IsZero() {
				set(c.oldest, seconds(p.Oldest), labels...)
			}
		}
	}
	now := time.Now()
	for _, s := range sumLogs(c.monitoring) {
		emit(to, c.logs, s, s.stream)
		dropped := noneDropped()
		maps.Copy(dropped, s.DroppedBy)
		for reason, n := range dropped {
			to <- prometheus.MustNewConstMetric(c.logDropped, prometheus.CounterValue, float64(n), s.stream, reason)
		}
		if s.Oldest > 0 {
			set(c.logOldest, seconds(now.Add(-s.Oldest)), s.stream)
		}
	}
	for _, b := range c.monitoring.Connections() {
		emit(to, c.brokers, &b, labelValue(b.Address))
	}
}

// noneDropped has a zero for each value of the label reason, so that each has a series from the start: Prometheus
// sees no increase in a counter that it never saw at 0.
func noneDropped() map[string]uint64 {
	return map[string]uint64{
		slogkafka.DroppedFull: 0, slogkafka.DroppedTooLarge: 0, slogkafka.DroppedRejected: 0, slogkafka.DroppedClosed: 0,
		slogkafka.DroppedUndelivered: 0, slogkafka.DroppedOwn: 0, slogkafka.DroppedInvalid: 0,
		slogkafka.DroppedNotConfigured: 0, slogkafka.DroppedDamaged: 0,
	}
}

// emit sends each metric with its value of v.
func emit[T any](to chan<- prometheus.Metric, metrics []metric[T], v T, labels ...string) {
	for _, m := range metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(v), labels...)
	}
}

// sumGroups returns the groups of the App's subscriptions in the order of their declaration.
func sumGroups(stats *bus.Stats, problems []monitoring.Problem) []*groupStats {
	var groups []*groupStats
	for i := range stats.Subscriptions {
		s := &stats.Subscriptions[i]
		at := slices.IndexFunc(groups, func(g *groupStats) bool { return g.group == s.Group })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &groupStats{group: s.Group, healthy: stats.Running})
		}
		groups[at].add(s)
	}
	for _, g := range groups {
		if slices.ContainsFunc(problems, func(p monitoring.Problem) bool { return p.Group == g.group }) {
			g.healthy = false
		}
	}
	return groups
}

func (g *groupStats) add(s *bus.SubscriptionStats) {
	for _, p := range s.Assigned {
		// A member that does not know of a rebalance yet still has partitions that are already assigned to another
		// one of the App.
		if slices.ContainsFunc(g.Assigned, func(have bus.PartitionStats) bool {
			return have.Partition == p.Partition && have.Stream == p.Stream
		}) {
			continue
		}
		g.Assigned = append(g.Assigned, p)
		if p.Blocked != "" {
			g.blocked++
		}
		if p.Paused {
			g.paused++
		}
	}
	if !s.PausedSince.IsZero() {
		g.PausedSince = s.PausedSince
	}
	g.InFlight += s.InFlight
	g.Waiting += s.Waiting
	g.Bytes += s.Bytes
	g.Abandoned += s.Abandoned
	g.Rebalances += s.Rebalances
	g.Revoked += s.Revoked
	g.Lost += s.Lost
	g.Finished += s.Finished
	g.Retried += s.Retried
	g.DeadLettered += s.DeadLettered
	g.Rejected += s.Rejected
	g.Broken += s.Broken
	g.OutOfRange += s.OutOfRange
}

// labelValue replaces invalid UTF-8: it would make the whole scrape fail.
func labelValue(text string) string { return strings.ToValidUTF8(text, "\ufffd") }

// sumLogs returns the counts of the App's log handlers, by stream.
func sumLogs(app monitoring.App) []*logStats {
	var all []*logStats
	for _, a := range app.LogHandlers() {
		h, ok := a.Handler.(*slogkafka.Handler)
		if !ok {
			continue
		}
		stream := labelValue(a.Stream) // unchecked: creating a handler never fails
		at := slices.IndexFunc(all, func(s *logStats) bool { return s.stream == stream })
		if at < 0 {
			all = append(all, &logStats{h.Stats(), stream})
			continue
		}
		all[at].add(h.Stats())
	}
	slices.SortFunc(all, func(a, b *logStats) int { return cmp.Compare(a.stream, b.stream) })
	return all
}

func (s *logStats) add(other slogkafka.Stats) {
	s.Accepted += other.Accepted
	s.Recovered += other.Recovered
	s.Delivered += other.Delivered
	s.Dropped += other.Dropped
	s.Spooled += other.Spooled
	s.Queued += other.Queued
	s.QueuedBytes += other.QueuedBytes
	s.Oldest = max(s.Oldest, other.Oldest)
	for reason, n := range other.DroppedBy {
		s.DroppedBy[reason] += n
	}
	s.Sampled += other.Sampled
	s.Invalid += other.Invalid
	s.Truncated += other.Truncated
	s.Retries += other.Retries
	s.Batches += other.Batches
	s.Fallback += other.Fallback
	s.FallbackDropped += other.FallbackDropped
	s.Lost += other.Lost
}
