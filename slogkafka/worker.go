package slogkafka

import (
	"context"
	"errors"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
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
	var out []bus.Outgoing
	for {
		batch := w.queue.take(ctx)
		if len(batch) == 0 {
			return
		}
		for len(batch) > 0 {
			out = out[:0]
			for i := range batch {
				out = append(out, bus.Outgoing{Key: batch[i].key, Value: batch[i].value, Headers: batch[i].headers, Time: batch[i].time})
			}
			pause, err := w.publish(ctx, out)
			if ctx.Err() == nil {
				w.queue.blame(err)
			}
			var refused error
			batch, refused = w.settle(batch, out)
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
		clear(out)
	}
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

// settle counts each record's outcome, and returns what is to be tried again, and why records were dropped if any were.
func (w *worker) settle(batch []item, out []bus.Outgoing) (left []item, refused error) {
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
	left = w.queue.settle(delivered, dropped, left)
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
