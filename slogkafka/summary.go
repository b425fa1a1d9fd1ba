package slogkafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// summary reports drops to readers of the stream: one record of the handler's own when records are delivered again,
// at most every 30 seconds, and one at Close. Together these records account for all drops, by reason.
type summary struct {
	stream  string
	encoder *logrecord.Encoder
	missed  func() (uint64, [reasons]uint64)
	nudge   func()

	mu        sync.Mutex
	due       bool
	sending   bool
	next      time.Time       // earliest time of the next record
	delivered [reasons]uint64 // counts in delivered records
	sent      [reasons]uint64 // counts in delivered records and the one being sent
	done      chan struct{}   // closed when the record being sent has its outcome
}

// dropMessage is the message of the record.
const dropMessage = "slogkafka: log records were dropped"

// consider makes a record due if there are unreported drops, and no record was sent lately.
func (s *summary) consider() {
	n, by := s.missed()
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !s.sending && by != s.delivered && !now.Before(s.next) {
		s.schedule(now)
	}
}

// schedule makes the record due. The caller holds the mutex.
func (s *summary) schedule(now time.Time) {
	s.due, s.sending, s.next, s.done = true, true, now.Add(reportEvery), make(chan struct{})
	s.nudge()
}

func (s *summary) isDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due
}

// record returns the record to send, if it is due.
func (s *summary) record(q *queue) (shipping.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.due {
		return shipping.Record{}, false
	}
	s.due = false
	_, s.sent = q.missed()
	var total uint64
	var by []any
	for why := range reasons {
		if n := s.sent[why] - s.delivered[why]; n > 0 {
			total += n
			by = append(by, slog.Uint64(why.String(), n))
		}
	}
	now := time.Now()
	r := slog.NewRecord(now, slog.LevelWarn, dropMessage, 0)
	r.AddAttrs(slog.Uint64("dropped", total), slog.Group("dropped_by", by...))
	value, _ := s.encoder.Append(nil, context.Background(), r)
	var id [recordid.Length]byte
	recordid.New(&id, now)
	return shipping.Record{
		Stream: s.stream, Value: value, Time: now, Outcome: s,
		Headers: []shipping.Header{{Name: bus.IDHeader, Value: id[:]}},
	}, true
}

// Resolved handles the outcome of the record. After a failure the next record repeats its counts.
func (s *summary) Resolved(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.delivered = s.sent
	}
	s.sending = false
	close(s.done)
}

// last sends unreported counts, and waits for the outcome until ctx ends.
func (s *summary) last(ctx context.Context) {
	s.await(ctx)
	n, by := s.missed()
	s.mu.Lock()
	if !s.sending && n > 0 && by != s.delivered {
		s.schedule(time.Now())
	}
	s.mu.Unlock()
	s.await(ctx)
}

// await waits until no record is being sent, or ctx ends.
func (s *summary) await(ctx context.Context) {
	s.mu.Lock()
	sending, done := s.sending, s.done
	s.mu.Unlock()
	if !sending {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
