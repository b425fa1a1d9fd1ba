package monitor

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

const (
	// sampleEvery is the minimum time between two samples, and maxSamples the number that is kept. A scrape of
	// Prometheus or an open page takes a sample.
	sampleEvery = 2 * time.Second
	maxSamples  = 120
	// ratePeriod is the time over which rates are averaged.
	ratePeriod = 20 * time.Second
	// The size of a trend's drawing in its own units.
	trendWidth, trendHeight = 100, 20
)

// sample holds all counts at one moment.
type sample struct {
	at     time.Time
	counts map[string]float64
}

// history keeps samples of counts for rates and trends. Its methods may be called concurrently.
type history struct {
	mu      sync.Mutex
	samples []sample
}

// addSample adds a sample, unless the last one is younger than sampleEvery.
func (h *history) addSample(now time.Time, stats *bus.Stats, streams []*streamCounts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 && now.Sub(h.samples[n-1].at) < sampleEvery {
		return
	}
	s := sample{now, make(map[string]float64)}
	for i := range stats.Subscriptions {
		sub := &stats.Subscriptions[i]
		s.counts[lagOf(sub.Group)] += float64(sub.Lag)
		s.counts[finishedOf(sub.Group)] += float64(sub.Finished)
		if oldest := oldestOf(sub); !oldest.IsZero() {
			s.counts[ageOf(sub.Group)] = max(s.counts[ageOf(sub.Group)], now.Sub(oldest).Seconds())
		}
	}
	for _, c := range streams {
		s.counts[publishedOf(c.stream)] = float64(c.published.Load())
		s.counts[consumedOf(c.stream)] = float64(c.consumed.Load())
	}
	h.samples = append(h.samples, s)
	if len(h.samples) > maxSamples {
		h.samples = h.samples[1:]
	}
}

// The names of counts.
func lagOf(group string) string        { return "lag " + group }
func ageOf(group string) string        { return "age " + group }
func finishedOf(group string) string   { return "finished " + group }
func publishedOf(stream string) string { return "published " + stream }
func consumedOf(stream string) string  { return "consumed " + stream }

// oldestOf returns the time of the oldest record that the subscription has not finished; zero when there is none.
func oldestOf(s *bus.SubscriptionStats) (oldest time.Time) {
	for i := range s.Assigned {
		if t := s.Assigned[i].Oldest; !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	return oldest
}

// rate returns the growth of a count per second over the last ratePeriod, or over the known part of it.
func (h *history) rate(name string) (perSecond float64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.samples)
	if n < 2 {
		return 0, false
	}
	last := h.samples[n-1]
	first := h.samples[n-2]
	for i := n - 2; i >= 0 && last.at.Sub(h.samples[i].at) <= ratePeriod; i-- {
		first = h.samples[i]
	}
	grown := last.counts[name] - first.counts[name]
	return max(grown, 0) / last.at.Sub(first.at).Seconds(), true // a new Run starts its counts at 0
}

// trend returns the points of a line through the samples of a count for an SVG polyline: 0 is at the bottom, the
// maximum at the top. It returns "" for less than two samples.
func (h *history) trend(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.samples)
	if n < 2 {
		return ""
	}
	first, span := h.samples[0].at, h.samples[n-1].at.Sub(h.samples[0].at).Seconds()
	most := 0.0
	for i := range h.samples {
		most = max(most, h.samples[i].counts[name])
	}
	if most == 0 {
		return ""
	}
	var points strings.Builder
	for i := range h.samples {
		x := h.samples[i].at.Sub(first).Seconds() / span * trendWidth
		y := trendHeight - 1 - h.samples[i].counts[name]/most*(trendHeight-2)
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSuffix(points.String(), " ")
}
