package slogkafka

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/aside"
)

// reportEvery is how often the same fault is reported again.
const reportEvery = 30 * time.Second

// reporter tells people how the delivery goes: when it stops working, when it works again, and the first record that is
// dropped, at once; in between every 30 seconds. What it has to say goes to the fallback, else to standard error, on
// the runner's goroutine, so that neither holds up anything.
type reporter struct {
	stream string
	to     *slog.Logger
	runner *aside.Runner
	queue  *queue
	why    func() error // why records wait

	quiet atomic.Bool // a drop was reported lately, and the timer runs
	panic sync.Once   // logs the first panic in the function of OnInvalid

	mu      sync.Mutex
	failed  bool      // the delivery does not work
	told    time.Time // when that was told last
	dropped uint64    // as told last
	reason  error     // why records were refused last
	timer   *time.Timer
	closed  bool

	spoolTold time.Time // when a fault of the spool was told last
}

// failing tells that records are kept because Kafka does not take them.
func (r *reporter) failing(err error) {
	r.fault("slogkafka: log records are not delivered, and kept", err)
}

// stalled tells that there is no answer.
func (r *reporter) stalled(err error) {
	r.fault("slogkafka: Kafka does not answer; log records are kept", err)
}

// initialize tells that a function of OnInitialize failed that ran because something was logged.
func (r *reporter) initialize(err error) {
	r.say(slog.LevelError, "slogkafka: the app is not initialized; its log records are delivered all the same",
		errorAttr(err))
}

// options logs what is wrong with the handler's options.
func (r *reporter) options(err error) {
	r.runner.Do(func() {
		r.to.LogAttrs(fallbackContext(), slog.LevelError, "slogkafka: the log handler works without options that are wrong",
			slog.String("stream", r.stream), errorAttr(err))
	})
}

// panicked logs the first panic in the function of OnInvalid.
func (r *reporter) panicked(p any) {
	r.panic.Do(func() {
		r.say(slog.LevelError, "slogkafka: the function of OnInvalid panics; its records go to their own stream",
			slog.String("error", "OnInvalid: panic: "+fmt.Sprint(p)))
	})
}

// fault tells what is wrong, if that is new or was not told lately.
func (r *reporter) fault(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.failed && time.Since(r.told) < reportEvery {
		return
	}
	r.failed, r.told = true, time.Now()
	r.say(slog.LevelError, what, errorAttr(err))
}

// delivering tells that records are delivered again, if they were not.
func (r *reporter) delivering() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed && !r.closed {
		r.failed = false
		r.say(slog.LevelWarn, "slogkafka: log records are delivered again", slog.Attr{})
	}
}

// spool tells that records could not be moved to the disk, or back, if that was not told lately.
func (r *reporter) spool(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || time.Since(r.spoolTold) < reportEvery {
		return
	}
	r.spoolTold = time.Now()
	r.say(slog.LevelError, "slogkafka: log records cannot be spooled; those that find no room are dropped", errorAttr(err))
}

// refused keeps why Kafka refused records for good. It comes before drop.
func (r *reporter) refused(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = err
}

// drop tells that a record was dropped, if that was not told lately. It is called for each.
func (r *reporter) drop() {
	if !r.quiet.Load() && r.quiet.CompareAndSwap(false, true) {
		r.drops()
	}
}

// drops tells how many records were dropped, and looks again in 30 seconds, until there are no more.
func (r *reporter) drops() {
	missed, _ := r.queue.missed()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case missed == r.dropped:
		r.quiet.Store(false)
	default:
		r.tellDrops(missed)
		r.timer = time.AfterFunc(reportEvery, r.drops)
	}
}

// tellDrops says how many records were dropped so far. The caller holds the mutex.
func (r *reporter) tellDrops(missed uint64) {
	r.dropped = missed
	err := r.reason
	if err == nil {
		err = r.why()
	}
	r.reason = nil
	r.say(slog.LevelError, dropNotice, errorAttr(err))
}

// close tells what was dropped since it was told last. Nothing more is said then.
func (r *reporter) close() {
	missed, _ := r.queue.missed()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	if missed > r.dropped {
		r.tellDrops(missed)
	}
	r.closed = true
}

// say has a line written.
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
