package slogkafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// reportEvery is how often the same trouble is told again.
const reportEvery = 30 * time.Second

// reporter tells people how the delivery goes: when it stops working and when it works again at once, and in between every
// 30 seconds. Only the worker calls it, so that nobody who logs waits for it.
type reporter struct {
	stream string
	to     *slog.Logger
	stats  func() Stats

	mu      sync.Mutex
	failed  bool      // the delivery does not work
	told    time.Time // when trouble was told last
	dropped uint64    // as told last
}

func newReporter(stream string, fallback slog.Handler, stats func() Stats) *reporter {
	var to *slog.Logger
	if fallback != nil {
		to = slog.New(fallback)
	}
	return &reporter{stream: stream, to: ownlog.Logger(to), stats: stats}
}

// failing tells that records are kept because Kafka does not take them.
func (r *reporter) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble("slogkafka: log records are not delivered, and kept", slog.String("error", err.Error()), !r.failed)
	r.failed = true
}

// dropping tells that Kafka refused records for good.
func (r *reporter) dropping(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble("slogkafka: log records were refused and dropped", slog.String("error", err.Error()), false)
}

// working tells that records are delivered, if they were not, and of those dropped meanwhile.
func (r *reporter) working() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stats(); r.failed {
		r.failed, r.told, r.dropped = false, time.Time{}, droppedOf(s)
		r.to.LogAttrs(context.Background(), slog.LevelWarn, "slogkafka: log records are delivered again", r.counts(s)...)
	} else if droppedOf(s) > r.dropped {
		r.trouble("slogkafka: log records were dropped", slog.Attr{}, false)
	}
}

// watch tells when the batch that is sent now has no answer after d, and every 30 seconds from then on. The function that
// it returns ends that.
func (r *reporter) watch(d time.Duration) (stop func()) {
	var timer *time.Timer
	var mu sync.Mutex // also orders the assignment of timer before its first use
	mu.Lock()
	defer mu.Unlock()
	over := false
	timer = time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		r.stalled()
		timer.Reset(reportEvery)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

func (r *reporter) stalled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble("slogkafka: Kafka does not answer; log records are kept", slog.Attr{}, !r.failed)
	r.failed = true
}

// trouble tells what is wrong, if it is news or was not told lately. The caller holds the mutex.
func (r *reporter) trouble(what string, why slog.Attr, news bool) {
	if !news && time.Since(r.told) < reportEvery {
		return
	}
	s := r.stats()
	r.told, r.dropped = time.Now(), droppedOf(s)
	r.to.LogAttrs(context.Background(), slog.LevelError, what, append(r.counts(s), why)...)
}

func (r *reporter) counts(s Stats) []slog.Attr {
	return []slog.Attr{slog.String("stream", r.stream), slog.Uint64("queued", s.Queued), slog.Uint64("dropped", droppedOf(s))}
}

// droppedOf counts what somebody should know of: that the bus does not ship its own logs is as it should be.
func droppedOf(s Stats) uint64 { return s.Dropped - s.DroppedBy[DroppedOwn] }
