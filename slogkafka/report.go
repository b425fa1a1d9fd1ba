package slogkafka

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/aside"
)

// reportEvery is the interval at which a lasting fault is reported.
const reportEvery = 30 * time.Second

// reporter logs the state of the delivery: at once when it starts to fail, when it works again, and when the first
// record is dropped; otherwise every 30 seconds. It logs to the fallback, else to standard error, on the runner's
// goroutine, so that neither delays the delivery.
type reporter struct {
	stream string
	to     *slog.Logger
	runner *aside.Runner
	queue  *queue
	why    func() error // why records wait

	quiet atomic.Bool // a drop was reported within reportEvery, and the timer runs
	panic sync.Once   // logs the first panic in the function of OnInvalid

	mu       sync.Mutex
	failed   bool      // the delivery fails
	reported time.Time // time of the last report
	dropped  uint64    // number of drops in the last report
	reason   error     // last reason of a refusal
	timer    *time.Timer
	closed   bool

	spoolReported time.Time // time of the last report about the spool
}

// failing reports that Kafka does not accept records, and that they stay queued.
func (r *reporter) failing(err error) {
	r.fault("slogkafka: log records cannot be delivered and stay queued", err)
}

// stalled reports that Kafka does not answer.
func (r *reporter) stalled(err error) {
	r.fault("slogkafka: Kafka does not answer; log records stay queued", err)
}

// initialize reports the error of a function of OnInitialize that the first log record has called.
func (r *reporter) initialize(err error) {
	r.say(slog.LevelError, "slogkafka: the app is not initialized; its log records are delivered all the same",
		errorAttr(err))
}

// options reports wrong options of the handler.
func (r *reporter) options(err error) {
	r.runner.Do(func() {
		r.to.LogAttrs(fallbackContext(), slog.LevelError, "slogkafka: the log handler works without options that are wrong",
			slog.String("stream", r.stream), errorAttr(err))
	})
}

// panicked reports the first panic in the function of OnInvalid.
func (r *reporter) panicked(p any) {
	r.panic.Do(func() {
		r.say(slog.LevelError, "slogkafka: the function of OnInvalid panics; its records go to their own stream",
			slog.String("error", "OnInvalid: panic: "+fmt.Sprint(p)))
	})
}

// fault reports an error, unless the same one was reported within reportEvery.
func (r *reporter) fault(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.failed && time.Since(r.reported) < reportEvery {
		return
	}
	r.failed, r.reported = true, time.Now()
	r.say(slog.LevelError, what, errorAttr(err))
}

// delivering reports that the delivery works again after a failure.
func (r *reporter) delivering() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed && !r.closed {
		r.failed = false
		r.say(slog.LevelWarn, "slogkafka: log records are delivered again", slog.Attr{})
	}
}

// spool reports an error of the disk, unless one was reported within reportEvery.
func (r *reporter) spool(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || time.Since(r.spoolReported) < reportEvery {
		return
	}
	r.spoolReported = time.Now()
	r.say(slog.LevelError,
		"slogkafka: log records cannot be written to the spool; when the queue is full they are dropped", errorAttr(err))
}

// refused stores the reason of a refusal. It is called before drop.
func (r *reporter) refused(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = err
}

// drop reports dropped records, unless that was reported within reportEvery. It is called for each.
func (r *reporter) drop() {
	if !r.quiet.Load() && r.quiet.CompareAndSwap(false, true) {
		r.drops()
	}
}

// drops reports the number of dropped records, and repeats that every 30 seconds until it no longer grows.
func (r *reporter) drops() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		missed, _ := r.queue.missed()
		if missed > r.dropped {
			r.logDrops(missed)
			r.timer = time.AfterFunc(reportEvery, r.drops)
			return
		}
		r.quiet.Store(false)
		// A drop that came before quiet was false has reported nothing.
		if now, _ := r.queue.missed(); now == missed || !r.quiet.CompareAndSwap(false, true) {
			return
		}
	}
}

// logDrops logs the number of dropped records so far. The caller holds the mutex.
func (r *reporter) logDrops(missed uint64) {
	r.dropped = missed
	err := r.reason
	if err == nil {
		err = r.why()
	}
	r.reason = nil
	r.say(slog.LevelError, dropMessage, errorAttr(err))
}

// close reports the drops that were not reported yet. Nothing is logged after it.
func (r *reporter) close() {
	missed, _ := r.queue.missed()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	if missed > r.dropped {
		r.logDrops(missed)
	}
	r.closed = true
}

// say logs a line on the runner's goroutine.
func (r *reporter) say(level slog.Level, what string, err slog.Attr) {
	s := r.queue.snapshot()
	by := make([]any, 0, len(s.DroppedBy))
	var missed uint64
	for why := range reasons {
		if n := s.DroppedBy[why.String()]; n > 0 && !why.onPurpose() {
			missed += n
			by = append(by, slog.Uint64(why.String(), n))
		}
	}
	attrs := []slog.Attr{
		slog.String("stream", r.stream), slog.Uint64("queued", s.Queued), slog.Uint64("dropped", missed),
		slog.Group("dropped_by", by...), err,
	}
	if s.Spooled > 0 {
		attrs = append(attrs, slog.Uint64("spooled", s.Spooled))
	}
	r.runner.Do(func() { r.to.LogAttrs(fallbackContext(), level, what, attrs...) })
}

func errorAttr(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.String("error", err.Error())
}
