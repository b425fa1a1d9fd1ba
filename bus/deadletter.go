package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// moving is a given-up record on its way to another stream: to the dead letters, or to a retry stream.
type moving struct {
	stream   string
	source   string // the stream that the record came from at first
	attempts int
	dead     bool
	delay    time.Duration // until it may be handled again; of a dead letter none
	err      error         // why
	cause    error         // what the application returned

	failed  *failedRecord // what its headers tell; nil before the first try
	size    size
	pending *Receipt // of the try that has no answer yet
	tries   int
	logged  time.Time
}

// newMoving returns where a record goes that is given up because of err; nil for a dead letter of a dead letter. Such a
// record is not written again, or groups that read each other's dead letters would write new ones for ever.
func (x *runner) newMoving(j *job, o handlerOutcome, err error) *moving {
	m := &moving{err: err, cause: causeOf(j.last), attempts: j.calls}
	source, tier := x.streams.Origin(j.record.Stream)
	m.source = source
	if m.dead = o.kind == reject || tier >= len(x.delays); !m.dead {
		m.stream, m.delay = streams.Retry(source, x.group, tier+1), x.delays[tier]
		return m
	}
	if streams.IsSecondDead(source) {
		return nil
	}
	m.stream = streams.Dead(source, x.group)
	return m
}

// fromOtherGroup reports whether another group wrote a record into one of our retry or replay streams. The name of one
// group may be the end of another's name; then both groups read a retry stream of the same name.
func (x *runner) fromOtherGroup(r *Record) bool {
	if !x.deadLetter {
		return false
	}
	group, ok := r.Header(GroupHeader) // first: hardly any record has it, and to look at the topic costs more
	return ok && string(group) != x.group && x.streams.IsOwn(r.Topic)
}

// skip passes over a record of another group.
func (x *runner) skip(r *Record) {
	x.skipped.Add(1)
	group, _ := r.Header(GroupHeader)
	x.lines.skipped.line("bus: a record of another group, whose retry or replay stream has the same name, is passed over",
		r, nil, "other", truncate(strconv.Quote(string(group)), longestText))
}

// notBefore returns when a record that is read now from one of our retry or replay streams may be handled.
func (x *runner) notBefore(r *Record, now time.Time) time.Time {
	_, tier := x.streams.Origin(r.Stream)
	if tier == 0 {
		return time.Time{}
	}
	return notBefore(r, x.delays[min(tier, len(x.delays))-1], now)
}

// recordMoved counts and logs a record that lies in another stream now.
func (x *runner) recordMoved(r *Record, m *moving) {
	x.recordError(m.err)
	if m.dead {
		x.deadLettered.Add(1)
		x.lines.deadLetters.line("bus: a record goes to the dead letters",
			r, m.err, "stream", m.stream, "attempts", m.attempts)
		return
	}
	x.postponed.Add(1)
	x.lines.postponed.line("bus: a record waits for another time", r, m.err, "stream", m.stream, "attempts", m.attempts)
}

const (
	// moveWait is how long a try may take before its worker does something else.
	moveWait = time.Second
	// blockedEvery is how often the log says of a record that cannot be written.
	blockedEvery = time.Minute
)

// move writes a record to m.stream. It returns 0 when the broker has acknowledged the record, else the pause before
// it has to be called again. It waits at most moveWait for an answer; while the partition is being given up, it waits
// until the time to finish is over.
func (x *runner) move(partition consume.AssignedPartition, r *Record, m *moving) (retry time.Duration) {
	if m.failed == nil {
		x.prepareMove(r, m, time.Now())
	}
	for {
		if m.pending == nil {
			m.pending = x.send(partition.Context(), m.stream, r, m.failed.headers(r.Headers, m.size))
		}
		if !answered(partition, m.pending) {
			return moveWait
		}
		err := m.pending.Wait(partition.Context())
		m.pending = nil
		switch {
		case err == nil:
			x.blocked.Remove((*wire.Record)(r))
			x.recordMoved(r, m)
			return 0
		case partition.Context().Err() != nil:
			return moveWait // nobody will call again
		case errors.Is(err, ErrTooLarge) && m.size < bare:
			m.size++
		default:
			x.block(partition, r, m, err)
			m.size = whole // what is too large now may not be the next time
			m.tries++
			return kafka.Backoff{First: time.Second, Max: 30 * time.Second}.Delay(m.tries - 1)
		}
	}
}

// prepareMove collects what the headers say, and how the stream's topic is created if it does not exist.
func (x *runner) prepareMove(r *Record, m *moving, now time.Time) {
	m.failed = &failedRecord{history: historyOf(r, x.conn.prefix), group: x.group, err: m.err, cause: m.cause, at: now}
	m.failed.attempts += m.attempts
	m.attempts = m.failed.attempts
	if !m.dead {
		m.failed.notBefore = now.Add(m.delay)
	}
	x.conn.own.Store(x.conn.prefix+m.stream, kafka.TopicSpec{Source: x.conn.prefix + m.source, Delay: m.delay})
}

// answered waits for the broker's answer and reports whether there is one, or the time to finish is over. It waits at
// most moveWait; while the partition is being given up, it waits until the time to finish is over.
func answered(partition consume.AssignedPartition, pending *Receipt) bool {
	timer := time.NewTimer(moveWait)
	defer timer.Stop()
	select {
	case <-pending.Done():
		return true
	case <-partition.Context().Done():
		return true
	case <-timer.C:
	}
	select {
	case <-partition.Revoked():
	default:
		return false
	}
	select {
	case <-pending.Done():
	case <-partition.Context().Done():
	}
	return true
}

// send publishes a record to another stream, with these headers.
func (x *runner) send(ctx context.Context, stream string, r *Record, headers []Header) *Receipt {
	out := &Receipt{stream: stream, watched: x.app.watch(stream, len(r.Value))}
	w := x.app.getWorkspace()
	defer x.app.give(w)
	w.key, w.moved, w.aside = r.Key, true, true
	w.headers = append(w.headers, headers...)
	x.conn.send(ctx, out, w, r.Value, true, nil)
	return out
}

// block records, for Health and Stats, that a record cannot be written. It logs that the first time, and then once a
// minute.
func (x *runner) block(partition consume.AssignedPartition, r *Record, m *moving, err error) {
	err = fmt.Errorf("record %s cannot be written to stream %q: %w%s", where(r), m.stream, err, x.advice(r, m, err))
	x.recordError(err)
	x.blocked.Set(partition, (*wire.Record)(r), err)
	if now := time.Now(); now.Sub(m.logged) >= blockedEvery {
		m.logged = now
		x.log.Error("bus: a record cannot be moved, and holds up those behind it; trying again",
			"why", brief(m.err), "error", err)
	}
}

// advice says what to change so that the record can be written.
func (x *runner) advice(r *Record, m *moving, err error) string {
	topic := x.conn.prefix + m.stream
	switch {
	case errors.Is(err, ErrTooLarge):
		return fmt.Sprintf(": set max.message.bytes of topic %s to %d or more", topic,
			(*wire.Record)(r).Memory()+kafka.HeaderBytes)
	case errors.Is(err, ErrAuth):
		return fmt.Sprintf(": allow us to write to topic %s, and to create it if it is not there", topic)
	}
	return ""
}
