package monitor

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kafkaesk/kafkaesk/bus"
)

// pythonEvents are the metrics of Python's kafkaesk with a name or form that ours have not.
type pythonEvents struct {
	prefix func() string

	consumedTime    *prometheus.HistogramVec
	lead            *prometheus.HistogramVec
	publishedTime   *prometheus.HistogramVec
	consumedOffset  *prometheus.GaugeVec
	publishedOffset *prometheus.GaugeVec

	mu         sync.Mutex
	partitions map[consumedPartition]bool // with series
}

func newPythonEvents(app *bus.App, reg prometheus.Registerer) *pythonEvents {
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	offset := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	p := &pythonEvents{
		partitions: make(map[consumedPartition]bool),
		prefix:     app.Monitoring().TopicPrefix,
		consumedTime: histogram("kafkaesk_consumed_message_elapsed_time", "As kafkaesk_handler_duration_seconds.",
			prometheus.DefBuckets, "stream_id", "group_id", "partition"),
		lead: histogram("kafkaesk_message_lead_time", "As kafkaesk_message_lead_time_seconds.",
			[]float64{.1, .5, 1, 3, 5, 10, 30, 60, 120, 300}, "stream_id", "group_id", "partition"),
		publishedTime: histogram("kafkaesk_published_messages_time", "As kafkaesk_publish_duration_seconds.",
			prometheus.DefBuckets, "stream_id"),
		consumedOffset: offset("kafkaesk_consumed_topic_offset", "Offset of the last record that was finished.",
			"group_id", "partition", "stream_id"),
		publishedOffset: offset("kafkaesk_produced_topic_offset", "Offset of the last record that was published.",
			"stream_id", "partition"),
	}
	reg.MustRegister(p.consumedTime, p.lead, p.publishedTime, p.consumedOffset, p.publishedOffset)
	return p
}

// topic returns Python's stream_id, which includes the prefix.
func (p *pythonEvents) topic(stream string) string {
	if stream == otherStreams {
		return stream
	}
	return p.prefix() + stream
}

// onConsumed counts a record, and returns the values of the labels stream_id, group_id, partition and error.
func (p *pythonEvents) onConsumed(c *bus.Consumed, stream string) []string {
	topic, partition := p.topic(stream), strconv.Itoa(c.Record.Partition)
	if stream != otherStreams { // the series of otherStreams are shared by many topics and stay
		p.mu.Lock()
		p.partitions[consumedPartition{topic, c.Group, partition}] = true
		p.mu.Unlock()
	}
	p.consumedTime.WithLabelValues(topic, c.Group, partition).Observe(c.Duration.Seconds())
	p.lead.WithLabelValues(topic, c.Group, partition).Observe(c.Latency.Seconds())
	p.consumedOffset.WithLabelValues(c.Group, partition, topic).Set(float64(c.Record.Offset))
	return []string{topic, c.Group, partition, errorLabel(c.Err)}
}

// onPublished counts a publish, and returns the values of the labels stream_id and partition.
func (p *pythonEvents) onPublished(r *bus.Published, stream string) []string {
	topic, partition := p.topic(stream), strconv.Itoa(r.Partition)
	p.publishedTime.WithLabelValues(topic).Observe(r.Duration.Seconds())
	if r.Offset >= 0 {
		p.publishedOffset.WithLabelValues(topic, partition).Set(float64(r.Offset))
	}
	return []string{topic, partition}
}

// consumedPartition is a partition of a group, by the values of its labels.
type consumedPartition struct{ topic, group, partition string }

// forget removes the series of partitions that no member of the App has.
func (p *pythonEvents) forget(stats *bus.Stats, consumed *prometheus.CounterVec) {
	assigned := make(map[consumedPartition]bool)
	for i := range stats.Subscriptions {
		s := &stats.Subscriptions[i]
		for j := range s.Assigned {
			assigned[consumedPartition{s.Assigned[j].Topic, s.Group, strconv.Itoa(s.Assigned[j].Partition)}] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.partitions {
		if assigned[c] {
			continue
		}
		delete(p.partitions, c)
		labels := prometheus.Labels{"stream_id": c.topic, "group_id": c.group, "partition": c.partition}
		for _, vec := range []interface {
			DeletePartialMatch(prometheus.Labels) int
		}{consumed, p.consumedTime, p.lead, p.consumedOffset} {
			vec.DeletePartialMatch(labels)
		}
	}
}
