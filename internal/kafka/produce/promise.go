package produce

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// ErrUnacknowledged is in the error of a record that was sent and may be on the broker although it failed. A record
// that fails without it is certainly not there, and will not be.
var ErrUnacknowledged = errors.New("the record may have been written")

// ErrTimeout is in the error of a record that was not acknowledged by its Deadline. It wraps [os.ErrDeadlineExceeded].
var ErrTimeout = fmt.Errorf("PublishTimeout is over: %w", os.ErrDeadlineExceeded)

// Promise is the outcome of one record. Its zero value is ready to be handed to [Producer.Produce], once; it must not
// be copied after that. It is resolved exactly once: with a place in a partition, or with an error.
//
// Most promises are never waited for one by one, so the channel of Done exists only for those that somebody asked for.
type Promise struct {
	// done is nil while the promise is open and nobody asked, a channel while somebody waits, and &resolved once it is
	// over. Whoever resolves the promise writes the fields below first and swaps done afterwards: seeing &resolved makes
	// them readable.
	done atomic.Pointer[chan struct{}]

	ctx          context.Context // the caller's; nil where it can never end
	observer     Observer        // of OnEnd; nil for most
	until        time.Duration   // the record's deadline, since the producer was made; 0: none
	err          error
	offset       int64
	partition    int32
	mayBeWritten bool // the record was sent, and the broker may have it; guarded by Producer.mu
}

// resolved is what every promise that is over points to: a closed channel, never written.
var resolved = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done returns a channel that is closed when the outcome is known. Safe for concurrent use.
func (p *Promise) Done() <-chan struct{} {
	for {
		if c := p.done.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if p.done.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// Observer is told the outcome of a record.
type Observer interface {
	// Resolved is called once, with what [Promise.Err] returns. The producer may hold its lock then: it must not block
	// and must not call the producer.
	Resolved(err error)
}

// OnEnd makes o the observer of the outcome, which is called before Done is closed. It has to come before
// [Producer.Produce].
func (p *Promise) OnEnd(o Observer) { p.observer = o }

// Err returns why the record was not acknowledged: nil when it was, and nil while the outcome is not known. The error
// wraps [kafka.ErrTooLarge], [kafka.ErrAuth], [kafka.ErrClosed], [ErrTimeout], the context's error or the broker's
// code, whichever it was, and [ErrUnacknowledged] where the record may be on the broker all the same.
func (p *Promise) Err() error {
	if !p.isResolved() {
		return nil
	}
	return p.err
}

// Position returns where the record was written. The offset is -1 where it is not known: when the broker
// said only that it has the record already. Partition and offset are -1 while the outcome is not known or when it is an
// error.
func (p *Promise) Position() (partition int32, offset int64) {
	if !p.isResolved() || p.err != nil {
		return -1, -1
	}
	return p.partition, p.offset
}

func (p *Promise) isResolved() bool { return p.done.Load() == &resolved }

// acknowledge resolves the promise with the record's place. Only who took the promise out of its batch calls it or
// fail, so once.
func (p *Promise) acknowledge(partition int32, offset int64) {
	p.ctx = nil // do not keep what hangs on the caller's context alive
	p.partition, p.offset = partition, offset
	p.end(nil)
}

// expired returns why the record is not waited for any more; nil while it is. now is the time since the producer was
// made.
func (p *Promise) expired(now time.Duration) error {
	switch {
	case p.ctx != nil && p.ctx.Err() != nil:
		return ended(p.ctx)
	case p.until != 0 && now >= p.until:
		return ErrTimeout
	}
	return nil
}

func (p *Promise) fail(err error) {
	if p.mayBeWritten && !errors.Is(err, ErrUnacknowledged) {
		err = fmt.Errorf("%w (of an earlier attempt: %w)", err, ErrUnacknowledged)
	}
	p.ctx = nil
	p.err = err
	p.end(err)
}

func (p *Promise) end(err error) {
	if p.observer != nil {
		p.observer.Resolved(err)
		p.observer = nil
	}
	if waiting := p.done.Swap(&resolved); waiting != nil {
		close(*waiting)
	}
}
