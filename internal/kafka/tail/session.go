package tail

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// Session is a tail in steps, for a reader that decides itself from where to where it reads each partition: open, read
// ranges as often as wanted, follow. What Run says of errors, of brokers that are away and of new topics holds for it.
// Its methods are called one after another, but for Pause and Resume, which may be called at any time.
type Session struct {
	// Starts are where Options.From says that the partitions begin to be read, and Ends where they ended when the
	// session was opened. Partitions without a leader, or that cannot be looked up, are in neither. Starts may be
	// changed: it is where Follow begins, also in partitions that cannot be read yet.
	Starts, Ends map[kafka.TopicPartition]int64

	tail    *tail
	cluster *kafka.Cluster
}

// ErrStopped is the error of a method whose yield has returned false.
var ErrStopped = errBreak

// Open begins a session. yield gets its chunks and errors, as the loop over Run does; when it returns false, the method
// that called it ends with ErrStopped. The session must be closed.
func Open(ctx context.Context, c *kafka.Client, o Options, yield func(*fetch.Chunk, error) bool) (*Session, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Session{tail: newTail(c, o, yield)}
	var err error
	if s.cluster, s.Starts, s.Ends, err = s.tail.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	s.Starts = maps.Clone(s.Starts) // it is the same map as Ends, where it begins there
	return s, nil
}

// Close ends the session. It is called when no other method runs.
func (s *Session) Close() { s.tail.close() }

// Topics are those that matched when the session was opened, with the number of their partitions.
func (s *Session) Topics() map[string]int {
	topics := make(map[string]int)
	for name, topic := range s.cluster.Topics {
		if s.tail.matches(topic) {
			topics[name] = len(topic.Leaders)
		}
	}
	return topics
}

// All are the names of all topics but Kafka's own, matching or not; of those that were asked for, with Options.Topics.
func (s *Session) All() []string {
	var names []string
	for name, topic := range s.cluster.Topics {
		if !topic.Internal {
			names = append(names, name)
		}
	}
	return names
}

// At returns, for each partition that has an end, the offset of its first record whose timestamp is t or later, and its
// end where there is none.
func (s *Session) At(ctx context.Context, t time.Time) (map[kafka.TopicPartition]int64, error) {
	parts := slices.Collect(maps.Keys(s.Ends))
	list := func(ctx context.Context, parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
		return s.tail.client.ListOffsets(ctx, parts, max(t.UnixMilli(), 0))
	}
	found, err := s.tail.listOffsets(ctx, parts, list)
	for tp, offset := range found {
		if offset < 0 {
			found[tp] = s.Ends[tp]
		}
	}
	return found, err
}

// Read reads each partition from its offset in from up to that in to.
func (s *Session) Read(ctx context.Context, from, to map[kafka.TopicPartition]int64) error {
	f := s.tail.untilEnd()
	defer f.Close()
	return s.tail.readUntil(ctx, f, from, to, s.emit)
}

// Follow reads on from Starts, and what appears later from its first record, until ctx ends, or nothing may be read.
func (s *Session) Follow(ctx context.Context) error {
	return s.tail.readOn(ctx, s.cluster, s.Starts, s.emit)
}

// emit hands on chunks without records too, as these say how far a partition has been read.
func (s *Session) emit(c *fetch.Chunk) error {
	if !s.tail.yield(c, nil) {
		return errBreak
	}
	return nil
}

// ReportOpen yields an ErrOpenTransaction for each partition that had records behind its end when the session was
// opened.
func (s *Session) ReportOpen() error { return s.tail.reportOpen(s.Ends) }

// Pause has a partition wait until Resume: nothing of it is yielded from the next chunk but one on.
func (s *Session) Pause(tp kafka.TopicPartition) {
	if f := s.tail.current.Load(); f != nil {
		f.Pause(tp)
	}
}

// Resume ends a Pause.
func (s *Session) Resume(tp kafka.TopicPartition) {
	if f := s.tail.current.Load(); f != nil {
		f.Resume(tp)
	}
}
