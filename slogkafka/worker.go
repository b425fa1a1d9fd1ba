package slogkafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
)

// publisher is what the worker needs of a bus.App.
type publisher interface {
	Initialize(ctx context.Context) error
	PublishBatch(ctx context.Context, stream string, batch []bus.Outgoing) error
}

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

// worker ships the records of one handler and of all that are derived from it.
type worker struct {
	app     publisher
	stream  string
	queue   *queue
	shorten func(record []byte, max int) ([]byte, bool)
	lost    func([]item)
	report  *reporter
}

// run ships records until ctx ends, or the queue is closed and empty.
func (w *worker) run(ctx context.Context) {
	var out outgoing
	for {
		batch := w.queue.take(ctx)
		if len(batch) == 0 {
			return
		}
		out.begin(batch)
		for len(batch) > 0 {
			records := out.of(batch)
			pause, err := w.publish(ctx, records)
			if ctx.Err() == nil {
				w.queue.blame(err)
			}
			var refused error
			batch, refused = w.recordOutcomes(batch, records)
			switch {
			case err != nil && len(batch) > 0 && pause > 0:
				w.report.failing(err)
			case refused != nil:
				w.report.dropping(refused)
			default:
				w.report.working()
			}
			if len(batch) > 0 && !w.wait(ctx, pause) {
				return
			}
		}
		out.forget()
	}
}

// outgoing makes a batch into what the bus takes. It gives each record its id, which the record keeps over all tries:
// the broker may have got it each time. Its memory serves again for the next batch.
type outgoing struct {
	first   uint64 // the place in the queue of the batch's first record; the others follow without a gap
	ids     [][recordid.Length]byte
	headers []bus.Header
	records []bus.Outgoing
}

// begin makes the ids of a batch.
func (o *outgoing) begin(batch []item) {
	o.first, o.ids = batch[0].seq, slices.Grow(o.ids[:0], len(batch))[:len(batch)]
	now := time.Now()
	for i := range o.ids {
		recordid.New(&o.ids[i], now)
	}
}

// of returns what is left of the batch that began, for one try.
func (o *outgoing) of(left []item) []bus.Outgoing {
	o.records, o.headers = o.records[:0], o.headers[:0]
	for i := range left {
		it := &left[i]
		start := len(o.headers)
		o.headers = append(append(o.headers, it.headers...), bus.Header{Name: bus.IDHeader, Value: o.ids[it.seq-o.first][:]})
		o.records = append(o.records, bus.Outgoing{Key: it.key, Value: it.value, Headers: o.headers[start:], Time: it.time})
	}
	return o.records
}

// forget lets go of the batch's records.
func (o *outgoing) forget() {
	clear(o.records)
	clear(o.headers)
}

// publish sends a batch. It returns how long to wait before what is left of it is tried again.
func (w *worker) publish(ctx context.Context, out []bus.Outgoing) (pause time.Duration, err error) {
	stalled := w.report.watch(stalledAfter)
	defer stalled()
	if err := w.app.Initialize(ctx); err != nil && !errors.Is(err, bus.ErrClosed) {
		for i := range out {
			out[i].Err = notReady{err}
		}
		return max(pauseAfter(err), notReadyPause), err
	}
	err = w.app.PublishBatch(ctx, w.stream, out)
	for i := range out {
		pause = max(pause, pauseAfter(out[i].Err))
	}
	return pause, err
}

// notReady marks the error of an app that could not be initialized: no record is to blame for it.
type notReady struct{ error }

func (e notReady) Unwrap() error { return e.error }

// pauseAfter returns how long a record that failed so waits for its next try; 0 when it need not.
func pauseAfter(err error) time.Duration {
	switch {
	case errors.Is(err, bus.ErrAuth):
		return refusedPause
	case temporary(err):
		return notReadyPause
	}
	return 0
}

// temporary tells whether the record may be delivered at another time. The bus itself retries all that passes by itself.
func temporary(err error) bool {
	var app notReady
	return errors.As(err, &app) || errors.Is(err, bus.ErrAuth) || errors.Is(err, bus.ErrNotConfigured) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// recordOutcomes counts each record's outcome, and returns what is to be tried again, and why records were dropped if
// any were. What Close has given up meanwhile is its business: it has counted those records, and given them to the
// fallback.
func (w *worker) recordOutcomes(batch []item, out []bus.Outgoing) (left []item, refused error) {
	delivered, dropped := 0, map[string]int{}
	var lost []item
	for i, it := range batch {
		switch err := out[i].Err; {
		case err == nil:
			delivered++
		case temporary(err):
			left = append(left, it)
		case errors.Is(err, bus.ErrTooLarge):
			if shorter, ok := w.shorten(it.value, len(it.value)/2); ok && len(shorter) >= smallest {
				it.value = shorter
				left = append(left, it)
				continue
			}
			dropped[DroppedTooLarge]++
			lost, refused = append(lost, it), err
		case errors.Is(err, bus.ErrClosed):
			dropped[DroppedClosed]++
			lost, refused = append(lost, it), err
		default:
			dropped[DroppedRejected]++
			lost, refused = append(lost, it), err
		}
	}
	left, counted := w.queue.recordOutcomes(delivered, dropped, left)
	if !counted {
		return nil, nil
	}
	w.lost(lost)
	return left, refused
}

// wait waits, or until Flush or Close want to know. It returns false when ctx ends.
func (w *worker) wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.queue.wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
