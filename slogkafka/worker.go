package slogkafka

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

const (
	// Kafka refuses us: an operator has to mend it, and fast retries may lock the account.
	refusedPause = 30 * time.Second
	// The app cannot work yet; it is being configured, say.
	notReadyPause = time.Second
	// After this long without an answer somebody should know.
	stalledAfter = 10 * time.Second
	// smallest is the length in bytes below which a record is not shortened any more.
	smallest = 512
)

// worker ships the records of one handler and of all that are derived from it. It has three goroutines: ship hands
// records to the producer, collect deals with their outcomes, and initialize has the functions of OnInitialize called,
// which may log and are waited for by neither of the others.
type worker struct {
	app     shipping.Bus
	spec    shipping.Stream
	queue   *queue
	shorten func(record []byte, max int) ([]byte, bool)
	lost    func(*queued, reason)
	report  *reporter
	summary *summary
	// unwatched tells that collect does not wait for any outcome.
	unwatched atomic.Bool
	clock     logrecord.Clock    // of collect
	again     chan time.Duration // has room for one: records failed, and are tried again after the time
}

// ship hands records to the producer, until ctx ends.
func (w *worker) ship(ctx context.Context) {
	out := shipment{stream: w.summary.stream}
	more := false // the last batch did not take all
	for w.await(ctx, more) && w.connect(ctx) && w.rest(ctx) {
		w.watch()
		out.batch = w.queue.take(out.batch[:0])
		records := out.records(time.Now())
		if own, due := w.summary.record(w.queue); due {
			records = append(records, own)
		}
		more = len(out.batch) >= batchRecords/2
		if len(records) > 0 {
			w.queue.batches.Add(1)
			w.app.Ship(ctx, w.spec, records)
			out.forget()
		} else if !w.awaitWindow(ctx) {
			return
		}
	}
}

// await waits until records wait to be sent, and until they have lingered. It returns false when ctx ends.
func (w *worker) await(ctx context.Context, lingered bool) bool {
	q := w.queue
	var over <-chan time.Time
	lingered = lingered || q.linger == 0
	for {
		state := idle
		switch q.worker.Store(busy); {
		case w.summary.isDue(), q.hasWaiting() && (lingered || q.hurried.Load() > 0 || q.halfFull()):
			return ctx.Err() == nil
		case q.hasWaiting():
			state = lingering
			if over == nil {
				timer := time.NewTimer(q.linger)
				defer timer.Stop()
				over = timer.C
			}
		}
		q.worker.Store(state)
		if state == idle && q.hasWaiting() || q.hurried.Load() > 0 && q.hasWaiting() {
			continue // it came, or became urgent, before the state was to be seen
		}
		select {
		case <-q.wake:
		case <-over:
			lingered = true
		case <-ctx.Done():
			return false
		}
	}
}

// awaitWindow waits until the producer has given back some of what it has. It returns false when ctx ends.
func (w *worker) awaitWindow(ctx context.Context) bool {
	changed := w.queue.changed.wait()
	defer w.queue.changed.leave()
	if w.queue.canTake() {
		return true
	}
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// connect waits until the app has a broker. It returns false when ctx ends.
func (w *worker) connect(ctx context.Context) bool {
	for !w.app.Connected() {
		w.watch()
		err := w.app.Connect(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			break
		}
		w.queue.setFailure(err)
		w.report.failing(err)
		if !w.pause(ctx, pauseAfter(err)) {
			return false
		}
	}
	return true
}

// watch has collect watch how long an outcome takes.
func (w *worker) watch() {
	if w.unwatched.CompareAndSwap(true, false) {
		w.queue.resolved.nudge()
	}
}

// rest waits before records that failed are tried again. It returns false when ctx ends.
func (w *worker) rest(ctx context.Context) bool {
	select {
	case d := <-w.again:
		return w.pause(ctx, d)
	default:
		return true
	}
}

// pause waits about d, or until Flush or Close want to know. It returns false when ctx ends.
func (w *worker) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-w.queue.urgent: // of a call that may be over
	default:
	}
	if w.queue.hurried.Load() > 0 {
		d = min(d, notReadyPause)
	}
	timer := time.NewTimer(d + rand.N(d/10+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.queue.urgent:
	case <-ctx.Done():
		return false
	}
	return true
}

// initialize has the app call the functions of OnInitialize, once. What they return is for those to deal with who
// initialize the app themselves: logs are delivered without it.
func (w *worker) initialize(ctx context.Context) {
	for {
		err := w.app.Initialize(ctx)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, bus.ErrClosed):
			return
		case w.app.Connected():
			w.report.initialize(err)
			return
		}
		if !sleep(ctx, pauseAfter(err)) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// shipment makes a batch into what the bus takes. Its memory serves again for the next.
type shipment struct {
	batch   []*queued
	stream  string // of records that have none of their own
	headers []shipping.Header
	list    []shipping.Record
	values  []byte // of the records of which the queue has parts only
	clock   logrecord.Clock
}

func (s *shipment) records(now time.Time) []shipping.Record {
	s.list, s.headers, s.values = s.list[:0], s.headers[:0], s.values[:0]
	for _, r := range s.batch {
		if r.tried {
			r.shard.queue.retries.Add(1)
		}
		r.tried = true
		start := len(s.headers)
		s.headers = r.appendHeaders(s.headers, now)
		s.list = append(s.list, shipping.Record{
			Stream: cmp.Or(r.stream, s.stream), Key: r.key(), Value: s.value(r), Headers: s.headers[start:],
			Time: r.timeFor(now), Outcome: r,
		})
	}
	return s.list
}

// value returns a record's envelope, in memory that serves the next batch.
func (s *shipment) value(r *queued) []byte {
	if r.form.Whole() {
		return r.text()
	}
	start := len(s.values)
	s.values = r.appendValue(s.values, &s.clock)
	return s.values[start:len(s.values):len(s.values)]
}

// mostValues is how much memory a shipment keeps for envelopes.
const mostValues = 4 << 20

// forget lets go of the batch's records.
func (s *shipment) forget() {
	if cap(s.values) > mostValues {
		s.values = nil
	}
	clear(s.batch)
	clear(s.list)
	clear(s.headers)
}

// maxShifts is how often a record is sent with another time.
const maxShifts = 8

// timeFor returns the time that the record is sent with: its own, or, where the broker has refused that, the current
// one. A clock that is ahead of the broker's makes it refuse the current time as well, so the next ones are an hour
// earlier, two hours, and so on up to 64.
func (r *queued) timeFor(now time.Time) time.Time {
	switch {
	case r.shifts == 0 && !r.time.IsZero():
		return r.time
	case r.shifts > 1:
		return now.Add(-time.Hour << (r.shifts - 2))
	}
	return now
}

// collect deals with the outcomes of records, until quit is closed.
func (w *worker) collect(quit <-chan struct{}) {
	var list []*queued
	stalled := time.NewTimer(stalledAfter)
	defer stalled.Stop()
	for {
		select {
		case <-w.queue.resolved.wake:
			list = w.queue.resolved.take(list)
			w.apply(list)
			stalled.Reset(stalledAfter)
		case <-stalled.C:
			w.unwatched.Store(true) // from here on ship tells when there is something again
			if all := w.queue.mark(); w.queue.upTo(&all) > 0 {
				w.unwatched.Store(false)
				w.report.stalled(w.report.why())
				stalled.Reset(reportEvery)
			} else {
				w.queue.trim()
			}
		case <-quit:
			w.apply(w.queue.resolved.take(list))
			return
		}
	}
}

// verdict is what the outcome of an attempt means for its record.
type verdict struct {
	what  fate
	why   reason // of dropped
	value []byte // of again, where the record is sent with another value
}

type fate uint8

const (
	delivered fate = iota
	again
	dropped
)

// apply counts the outcomes of records.
func (w *worker) apply(list []*queued) {
	q := w.queue
	verdicts := make([]verdict, len(list))
	var result result
	var sentBytes int64
	for i, r := range list {
		sentBytes += r.charge
		verdicts[i] = w.judge(r)
		result.add(r.err, verdicts[i])
	}
	var records, bytes int64
	// each is looked at once: one that waits again may go to the disk, and its memory be another record's
	for i, r := range list {
		s := r.shard
		s.mu.Lock()
		if r.state == finished {
			list[i] = nil // Close has given it up, and counted it
		} else if n, freed := s.apply(r, verdicts[i]); s.reserves {
			records, bytes = records+n, bytes+freed
		}
		s.mu.Unlock()
	}
	done := list[:0]
	q.sent.Add(-int64(len(list)))
	q.sentBytes.Add(-sentBytes)
	if result.refused != nil {
		w.report.refused(result.refused)
	}
	for j, r := range list {
		switch {
		case r == nil || verdicts[j].what == again:
		case verdicts[j].what == dropped:
			r.waiter.end(r.err)
			w.lost(r, verdicts[j].why)
		default:
			r.waiter.end(nil)
			done = append(done, r)
		}
	}
	q.recycle(done, bytes)
	w.tell(&result)
	q.release(records, bytes)
	if q.store != nil {
		q.store.nudge()
	}
}

// apply counts one record's outcome. It returns how many records, and bytes, have left the queue. The caller holds the
// mutex.
func (s *shard) apply(r *queued, v verdict) (records, bytes int64) {
	before := r.charge
	switch v.what {
	case delivered:
		s.finish(r)
		s.counts.delivered++
		return 1, before
	case dropped:
		s.finish(r)
		s.counts.dropped[v.why]++
		return 1, before
	}
	if v.value != nil {
		r.replace(v.value)
		s.counts.bytes -= uint64(before - r.charge)
		if !r.truncated {
			r.truncated = true
			s.counts.truncated++
		}
	}
	s.giveBack(r)
	return 0, before - r.charge
}

// judge says what the outcome of an attempt means for its record. The bus itself retries all that passes by itself.
func (w *worker) judge(r *queued) verdict {
	switch {
	case r.err == nil:
		return verdict{what: delivered}
	case temporary(r.err):
		return verdict{what: again}
	case errors.Is(r.err, bus.ErrTooLarge):
		value, ok := w.shorten(r.value(&w.clock), r.valueLen()/2)
		if !ok || len(value) < smallest {
			return verdict{what: dropped, why: tooLarge}
		}
		return verdict{what: again, value: value}
	case shipping.TimeRefused(r.err) && r.shifts < maxShifts:
		r.shifts++
		return verdict{what: again}
	}
	return verdict{what: dropped, why: rejected}
}

// temporary tells whether a record that failed so may be delivered at another time.
func temporary(err error) bool {
	return errors.Is(err, bus.ErrAuth) || errors.Is(err, bus.ErrNotConfigured) || errors.Is(err, bus.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || shipping.TopicMissing(err)
}

// pauseAfter returns how long to wait before the next attempt after an error; 0 when that need not be.
func pauseAfter(err error) time.Duration {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, bus.ErrAuth), shipping.TopicMissing(err):
		return refusedPause
	case errors.Is(err, bus.ErrTooLarge), shipping.TimeRefused(err):
		return 0
	}
	return notReadyPause
}

// result is what came of attempts, as far as people want to know.
type result struct {
	delivered int
	again     int
	pause     time.Duration
	failure   error // why records are kept
	refused   error // why records were dropped
}

func (r *result) add(err error, v verdict) {
	switch v.what {
	case delivered:
		r.delivered++
	case dropped:
		r.refused = err
	default:
		r.again++
		if pause := pauseAfter(err); pause > 0 {
			r.pause, r.failure = max(r.pause, pause), err
		}
	}
}

// tell says what came of attempts to those who want to know: the reporter, and ship, which tries again.
func (w *worker) tell(r *result) {
	if r.failure != nil || r.delivered > 0 {
		w.queue.setFailure(r.failure)
	}
	switch {
	case r.failure != nil && !errors.Is(r.failure, context.Canceled):
		w.report.failing(r.failure)
	case r.delivered > 0:
		w.report.delivering()
		w.summary.consider()
	}
	if r.again > 0 {
		select {
		case w.again <- r.pause:
		default:
		}
		w.queue.nudge()
	}
}
