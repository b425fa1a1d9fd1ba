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
	// refusedPause is the pause after Kafka has refused the login or the topic: an operator has to mend that, and fast
	// retries may lock the account.
	refusedPause = 30 * time.Second
	// notReadyPause is the pause after other errors, for example while the app is not configured yet.
	notReadyPause = time.Second
	// stalledAfter is the time without any outcome after which the delivery is reported as stalled.
	stalledAfter = 10 * time.Second
	// smallest is the minimum length in bytes of a shortened record. A record that must be shorter is dropped.
	smallest = 512
)

// worker delivers the records of a handler and of all handlers that are derived from it. It has three goroutines: ship
// passes records to the producer, collect applies their outcomes, and initialize calls the functions of OnInitialize.
// It is a goroutine of its own because these functions may log, and the delivery must not wait for them.
type worker struct {
	app     shipping.Bus
	spec    shipping.Stream
	queue   *queue
	shorten func(record []byte, max int) ([]byte, bool)
	lost    func(*queued, reason)
	report  *reporter
	summary *summary
	// unwatched is set while collect waits for no outcome.
	unwatched  atomic.Bool
	clock      logrecord.Clock    // used by collect only
	retryAfter chan time.Duration // has room for one: records failed, and are sent again after this time
}

// ship passes records to the producer, until ctx ends.
func (w *worker) ship(ctx context.Context) {
	out := shipment{stream: w.summary.stream}
	more := false // the last batch was large, so that more records are likely to wait
	for w.awaitRecords(ctx, more) && w.connect(ctx) && w.awaitRetry(ctx) {
		w.watch()
		out.batch = w.queue.takeBatch(out.batch[:0])
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

// awaitRecords waits until there are records to send, and until the linger time is over. It does not linger if lingered
// is true. It returns false when ctx ends.
func (w *worker) awaitRecords(ctx context.Context, lingered bool) bool {
	q := w.queue
	var lingerEnd <-chan time.Time
	lingered = lingered || q.linger == 0
	for {
		state := idle
		switch q.worker.Store(busy); {
		case w.summary.isDue(), q.hasWaiting() && (lingered || q.flushWaiters.Load() > 0 || q.halfFull()):
			return ctx.Err() == nil
		case q.hasWaiting():
			state = lingering
			if lingerEnd == nil {
				timer := time.NewTimer(q.linger)
				defer timer.Stop()
				lingerEnd = timer.C
			}
		}
		q.worker.Store(state)
		if state == idle && q.hasWaiting() || q.flushWaiters.Load() > 0 && q.hasWaiting() {
			continue // a record or a Flush came before the state was stored: its call did not wake the worker
		}
		select {
		case <-q.wake:
		case <-lingerEnd:
			lingered = true
		case <-ctx.Done():
			return false
		}
	}
}

// awaitWindow waits until the window permits another batch, or records have left the queue. It returns false when ctx
// ends.
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

// watch makes collect check that outcomes arrive in time.
func (w *worker) watch() {
	if w.unwatched.CompareAndSwap(true, false) {
		w.queue.resolved.nudge()
	}
}

// awaitRetry waits before failed records are sent again. It returns false when ctx ends.
func (w *worker) awaitRetry(ctx context.Context) bool {
	select {
	case d := <-w.retryAfter:
		return w.pause(ctx, d)
	default:
		return true
	}
}

// pause waits about d; a call of Flush or Close ends it. It returns false when ctx ends.
func (w *worker) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-w.queue.urgent: // sent by a call that may have returned meanwhile
	default:
	}
	if w.queue.flushWaiters.Load() > 0 {
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

// initialize makes the app call the functions of OnInitialize, once. It only reports their errors: logs are delivered
// all the same, and an application that needs the functions initializes the app itself.
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

// shipment converts a batch to the records of the bus. It uses its memory again for the next batch.
type shipment struct {
	batch   []*queued
	stream  string // for records without a stream of their own
	headers []shipping.Header
	list    []shipping.Record
	values  []byte // envelopes of the records of which the queue has parts only
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

// value returns a record's envelope. Its memory is valid until the next batch.
func (s *shipment) value(r *queued) []byte {
	if r.form.Whole() {
		return r.text()
	}
	start := len(s.values)
	s.values = r.appendValue(s.values, &s.clock)
	return s.values[start:len(s.values):len(s.values)]
}

// mostValues is the maximum memory that a shipment keeps for envelopes.
const mostValues = 4 << 20

// forget drops the references to the batch's records.
func (s *shipment) forget() {
	if cap(s.values) > mostValues {
		s.values = nil
	}
	clear(s.batch)
	clear(s.list)
	clear(s.headers)
}

// maxShifts is the maximum number of times that a record is sent again with another time.
const maxShifts = 8

// timeFor returns the time with which the record is sent: its own, or the current time after the broker has refused its
// own. If our clock is ahead, the broker refuses the current time too. So the next attempts use times of one hour ago,
// two hours ago, and so on up to 64.
func (r *queued) timeFor(now time.Time) time.Time {
	switch {
	case r.shifts == 0 && !r.time.IsZero():
		return r.time
	case r.shifts > 1:
		return now.Add(-time.Hour << (r.shifts - 2))
	}
	return now
}

// collect applies the outcomes of records, until quit is closed.
func (w *worker) collect(quit <-chan struct{}) {
	var list []*queued
	stalled := time.NewTimer(stalledAfter)
	defer stalled.Stop()
	for {
		select {
		case <-w.queue.resolved.wake:
			list = w.queue.resolved.takeAll(list)
			w.apply(list)
			stalled.Reset(stalledAfter)
		case <-stalled.C:
			w.unwatched.Store(true) // from here on ship calls watch before it sends records
			if all := w.queue.mark(); w.queue.upTo(&all) > 0 {
				w.unwatched.Store(false)
				w.report.stalled(w.report.why())
				stalled.Reset(reportEvery)
			} else {
				w.queue.trim()
			}
		case <-quit:
			w.apply(w.queue.resolved.takeAll(list))
			return
		}
	}
}

// decision is what happens to a record after an attempt.
type decision struct {
	what  action
	why   reason // if the record is dropped
	value []byte // a shorter value to send on retry; nil: the same value
}

type action uint8

const (
	delivered action = iota
	retry
	dropped
)

// apply applies the outcomes of the attempts in list: it counts them, ends the calls that wait for them, passes dropped
// records to lost, and makes the others wait again.
func (w *worker) apply(list []*queued) {
	q := w.queue
	decisions := make([]decision, len(list))
	var result result
	var sentBytes int64
	for i, r := range list {
		sentBytes += r.charge
		decisions[i] = w.decide(r)
		result.add(r.err, decisions[i])
	}
	var records, bytes int64
	// Each record is read only once with the lock: a record that waits again may be moved to the disk, and its memory may
	// then hold another record.
	for i, r := range list {
		s := r.shard
		s.mu.Lock()
		if r.state == finished {
			list[i] = nil // abandon has counted it as dropped
		} else if n, freed := s.apply(r, decisions[i]); s.reserves {
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
		case r == nil || decisions[j].what == retry:
		case decisions[j].what == dropped:
			r.waiter.end(r.err)
			w.lost(r, decisions[j].why)
		default:
			r.waiter.end(nil)
			done = append(done, r)
		}
	}
	q.recycle(done, bytes)
	w.reportResult(&result)
	q.release(records, bytes)
	if q.store != nil {
		q.store.nudge()
	}
}

// apply counts one record's outcome, and removes the record or makes it wait again. It returns the number of records
// and of bytes that have left the queue. The caller holds mu.
func (s *shard) apply(r *queued, v decision) (records, bytes int64) {
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

// decide returns what happens to a record after an attempt. The bus itself has already retried transient errors.
func (w *worker) decide(r *queued) decision {
	switch {
	case r.err == nil:
		return decision{what: delivered}
	case temporary(r.err):
		return decision{what: retry}
	case errors.Is(r.err, bus.ErrTooLarge):
		value, ok := w.shorten(r.value(&w.clock), r.valueLen()/2)
		if !ok || len(value) < smallest {
			return decision{what: dropped, why: tooLarge}
		}
		return decision{what: retry, value: value}
	case shipping.TimeRefused(r.err) && r.shifts < maxShifts:
		r.shifts++
		return decision{what: retry}
	}
	return decision{what: dropped, why: rejected}
}

// temporary reports whether a record that failed with err may be delivered later.
func temporary(err error) bool {
	return errors.Is(err, bus.ErrAuth) || errors.Is(err, bus.ErrNotConfigured) || errors.Is(err, bus.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || shipping.TopicMissing(err)
}

// pauseAfter returns the pause before the next attempt after err; 0: none.
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

// result sums up the outcomes of attempts for reportResult.
type result struct {
	delivered int
	retries   int
	pause     time.Duration
	failure   error // the error for which records are sent again
	refused   error // the error for which records were dropped
}

func (r *result) add(err error, v decision) {
	switch v.what {
	case delivered:
		r.delivered++
	case dropped:
		r.refused = err
	default:
		r.retries++
		if pause := pauseAfter(err); pause > 0 {
			r.pause, r.failure = max(r.pause, pause), err
		}
	}
}

// reportResult passes the result of attempts to the reporter, and the pause before the retries to ship.
func (w *worker) reportResult(r *result) {
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
	if r.retries > 0 {
		select {
		case w.retryAfter <- r.pause:
		default:
		}
		w.queue.nudge()
	}
}
