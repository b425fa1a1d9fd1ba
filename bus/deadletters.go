package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// ErrNoDeadLetters says that a group has no stream of dead letters for a stream: it has never given up a record of it,
// or one of the names is wrong.
var ErrNoDeadLetters = errors.New("there are no dead letters")

// DeadLetterState is what has been done with a dead letter.
type DeadLetterState string

const (
	// DeadLetterOpen: nothing has been done with it.
	DeadLetterOpen DeadLetterState = "open"
	// DeadLetterReplayed: its group got it again, by [App.ReplayDeadLetters].
	DeadLetterReplayed DeadLetterState = "replayed"
	// DeadLetterDropped: it is not to be handled any more, by [App.DropDeadLetters].
	DeadLetterDropped DeadLetterState = "dropped"
)

// DeadLetterRecord is a record that a group has given up.
type DeadLetterRecord struct {
	// Record is the dead letter: key, value and headers of the record that was given up, and then the headers of the
	// failure ([ErrorHeader] and the others).
	Record *Record
	// Group is the group that gave the record up.
	Group string
	// FirstStream, FirstTopic, FirstPartition and FirstOffset are where the record was read for the first time.
	FirstStream, FirstTopic string
	FirstPartition          int
	FirstOffset             int64
	// Attempts is how often the record was handled, Error and ErrorType are the last error, and FailedTime is when
	// the record was given up. Each is zero when its header is missing.
	Attempts         int
	Error, ErrorType string
	FailedTime       time.Time
	State            DeadLetterState
}

// DeadLetterStream is a stream of dead letters.
type DeadLetterStream struct {
	// Stream is where the records came from, and Group is the group that gave them up. They are found in the name
	// <stream>.<group>.dead. Where dots in it allow several readings, the oldest record's headers decide; without a record
	// Group is the part behind the last dot.
	Stream, Group string
	// Name is the stream of the dead letters itself.
	Name string
	// Records is how many dead letters it has, whatever has been done with them.
	Records int64
	// Oldest and Newest are the times of the first and the last dead letter; zero when there are none.
	Oldest, Newest time.Time
}

// DeadLetterStreams returns the streams of dead letters of the App's topic prefix, by name. The App is initialized if
// need be.
func (a *App) DeadLetterStreams(ctx context.Context) ([]DeadLetterStream, error) {
	if a == nil {
		return nil, errNilApp
	}
	if _, err := a.use(ctx); err != nil {
		return nil, fmt.Errorf("bus: dead letters: %w", err)
	}
	found, err := a.Inspector().DeadLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("bus: dead letters: %w", err)
	}
	streams := make([]DeadLetterStream, len(found))
	for i, d := range found {
		streams[i] = DeadLetterStream{Stream: d.Stream, Group: d.Group, Name: d.DeadStream, Records: d.Records}
		if d.Oldest != nil {
			streams[i].Oldest = *d.Oldest
		}
		if d.Newest != nil {
			streams[i].Newest = *d.Newest
		}
	}
	return streams, nil
}

// DeadLetters reads the records of a stream that a group has given up. It reads those that exist at the call, each
// with what has been done with it. Records of one partition come in their order. [ErrNoDeadLetters] says that the
// stream of dead letters does not exist. What cannot be read is an error, as with [StopAtEnd]; a loop that ends
// without an error has seen all.
func (a *App) DeadLetters(ctx context.Context, stream, group string) iter.Seq2[*DeadLetterRecord, error] {
	return func(yield func(*DeadLetterRecord, error) bool) {
		if err := a.readDeadLetters(ctx, stream, group, yield); err != nil {
			yield(nil, fmt.Errorf("bus: dead letters of group %q and stream %q: %w", group, stream, err))
		}
	}
}

// readDeadLetters returns only the errors that keep it from beginning.
func (a *App) readDeadLetters(ctx context.Context, stream, group string,
	yield func(*DeadLetterRecord, error) bool,
) error {
	if a == nil {
		return errNilApp
	}
	c, err := a.use(ctx)
	if err != nil {
		return err
	}
	dead := streams.Dead(stream, group)
	if err := checkDeadLetters(ctx, c, dead); err != nil {
		return err
	}
	marks, err := a.readMarks(ctx, c, stream, group)
	if err != nil {
		return err
	}
	for r, err := range a.Tail(ctx, dead, FromStart(), StopAtEnd()) {
		if err != nil {
			if !yield(nil, err) {
				return nil
			}
			continue
		}
		d := newDeadLetterRecord(r, c.prefix, group)
		if d.Group != group {
			continue // of a group whose name, behind another stream's, makes the same name
		}
		d.State = stateOf(marks, r)
		if !yield(d, nil) {
			return nil
		}
	}
	return nil
}

// checkDeadLetters returns why a stream of dead letters cannot be read.
func checkDeadLetters(ctx context.Context, c *connection, dead string) error {
	if err := streams.CheckName(dead); err != nil {
		return err
	}
	cluster, err := c.client.Topics(ctx, c.prefix+dead)
	if err != nil {
		return err
	}
	if cluster.Topics[c.prefix+dead] == nil {
		return fmt.Errorf("%w: no stream %q", ErrNoDeadLetters, dead)
	}
	return nil
}

func newDeadLetterRecord(r *Record, prefix, group string) *DeadLetterRecord {
	h := historyOf(r, prefix)
	d := &DeadLetterRecord{Record: r, Group: group, FirstStream: h.stream, FirstTopic: h.topic,
		FirstPartition: h.partition, FirstOffset: h.offset, Attempts: h.attempts}
	if name, ok := r.Header(GroupHeader); ok {
		d.Group = string(name)
	}
	text, _ := r.Header(ErrorHeader)
	kind, _ := r.Header(ErrorTypeHeader)
	failed, _ := r.Header(FailedTimeHeader)
	d.Error, d.ErrorType = string(text), string(kind)
	if at, err := time.Parse(time.RFC3339Nano, string(failed)); err == nil {
		d.FailedTime = at
	}
	return d
}

// stateOf returns the state of a dead letter.
func stateOf(marks streams.Marks, r *Record) DeadLetterState {
	mark, ok := marks[streams.MarkKey(r.Partition, r.Offset)]
	if ok && mark.RecordTime == r.Time.UnixMilli() {
		return DeadLetterState(mark.State)
	}
	return DeadLetterOpen
}

// readMarks reads what has been done with the dead letters of a stream and a group.
func (a *App) readMarks(ctx context.Context, c *connection, stream, group string) (streams.Marks, error) {
	marks := make(streams.Marks)
	name := streams.ReplayLog(stream, group)
	if len(c.prefix+name) > streams.LongestTopic {
		return marks, nil // nothing was ever replayed
	}
	cluster, err := c.client.Topics(ctx, c.prefix+name)
	if err != nil || cluster.Topics[c.prefix+name] == nil {
		return marks, err
	}
	for r, err := range a.Tail(ctx, name, FromStart(), StopAtEnd()) {
		if err != nil {
			return nil, fmt.Errorf("what has been replayed: %w", err)
		}
		marks.Apply(r.Key, r.Value)
	}
	return marks, nil
}

// DeadLetterSelection says which dead letters a call works on. The zero value takes all that are open.
type DeadLetterSelection struct {
	// Where returns false for dead letters that are left out: they stay open. Defaults to all.
	Where func(*DeadLetterRecord) bool
	// Limit is the largest number of dead letters, in the order in which they are read. Defaults to no limit.
	Limit int
	// DryRun counts and changes nothing.
	DryRun bool
}

// DeadLetterCount is the result of a replay or a drop.
type DeadLetterCount struct {
	// Open is how many dead letters were open at the call.
	Open int
	// Selected is how many of them the selection takes, and Done how many were replayed or dropped.
	Selected, Done int
}

// ReplayDeadLetters hands the records of a stream that a group has given up to that group again, and to no other. It
// writes them to the stream <stream>.<group>.replay, which the group's subscription with [DeadLetter] reads. Key and
// value are unchanged. Records with the same key keep their order. A record that fails again is a new dead letter.
//
// What was replayed is recorded in the compacted stream <stream>.<group>.replay.log, and the next call leaves it out.
// So after an error, or when the process was killed, a further call goes on where the last one ended. It replays at
// most 100 records twice: those that had been written and were not recorded yet. When ctx ends, the records that are
// being written are finished.
//
// One call at a time replays or drops the dead letters of a stream and a group, in whatever process. Another call
// returns [ErrReplayRunning], which names the program that has the turn. The App joins the consumer group
// <stream>.<group>.replay for it, behind the topic prefix, and needs the right to Read that group. A process that was
// killed is a member until its session is over (session_timeout_ms, 10 seconds by default): the next call waits for
// that.
func (a *App) ReplayDeadLetters(ctx context.Context, stream, group string, s DeadLetterSelection) (
	DeadLetterCount, error,
) {
	count, err := a.markDeadLetters(ctx, stream, group, s, DeadLetterReplayed)
	if err != nil {
		return count, fmt.Errorf("bus: replaying dead letters of group %q and stream %q, of which %d are done: %w", group,
			stream, count.Done, err)
	}
	return count, nil
}

// DropDeadLetters marks dead letters as dropped: [App.ReplayDeadLetters] leaves them out from now on. The records
// stay in their stream until its retention is over. While another call replays or drops dead letters of the stream and
// the group, it returns [ErrReplayRunning].
func (a *App) DropDeadLetters(ctx context.Context, stream, group string, s DeadLetterSelection) (
	DeadLetterCount, error,
) {
	count, err := a.markDeadLetters(ctx, stream, group, s, DeadLetterDropped)
	if err != nil {
		return count, fmt.Errorf("bus: dropping dead letters of group %q and stream %q, of which %d are done: %w", group,
			stream, count.Done, err)
	}
	return count, nil
}

// replayBatch is how many records are written before that is recorded: as many may be replayed twice after a crash.
const replayBatch = 100

// markDeadLetters replays or drops.
func (a *App) markDeadLetters(ctx context.Context, stream, group string, s DeadLetterSelection,
	state DeadLetterState,
) (count DeadLetterCount, err error) {
	m := marking{app: a, stream: stream, group: group, state: state, count: &count}
	if !s.DryRun {
		if err := m.prepareMarking(ctx); err != nil {
			return count, err
		}
		defer m.turn.close()
	}
	for d, err := range a.DeadLetters(ctx, stream, group) {
		if err != nil && ctx.Err() != nil {
			return count, err
		}
		if err != nil {
			return count, errors.Join(err, m.write(ctx))
		}
		if d.State != DeadLetterOpen {
			continue
		}
		count.Open++
		if s.Where != nil && !s.Where(d) || s.Limit > 0 && count.Selected == s.Limit {
			continue
		}
		count.Selected++
		if s.DryRun {
			continue
		}
		if m.records = append(m.records, d.Record); len(m.records) < replayBatch {
			continue
		}
		if ctx.Err() != nil {
			return count, context.Cause(ctx)
		}
		if err := m.write(ctx); err != nil {
			return count, err
		}
	}
	return count, m.write(ctx)
}

// marking collects dead letters of which the same is done.
type marking struct {
	app           *App
	stream, group string
	state         DeadLetterState
	records       []*Record
	log           string // the stream where it is recorded
	turn          *replayTurn
	generation    int32         // of the turn
	marks         streams.Marks // what others have done since the dead letters are read; nil for nothing
	count         *DeadLetterCount
}

// prepareMarking makes the stream where it is recorded what is done, and waits until no other process does anything.
func (m *marking) prepareMarking(ctx context.Context) error {
	if m.app == nil {
		return errNilApp
	}
	c, err := m.app.use(ctx)
	if err != nil {
		return err
	}
	if err := checkDeadLetters(ctx, c, streams.Dead(m.stream, m.group)); err != nil {
		return err
	}
	if err := m.makeLog(ctx, c); err != nil {
		return err
	}
	m.turn = newReplayTurn(ctx, m.app, c, m.stream, m.group)
	if m.generation, err = m.turn.acquire(ctx); err != nil {
		m.turn.close()
		return err
	}
	m.turn.release(m.generation)
	return nil
}

// writeTime bounds the writing of a batch. The end of the caller's context does not cut it off: a batch that is half
// done would be replayed again.
const writeTime = 30 * time.Second

// write replays the records if they are to be replayed, and then records what was done.
func (m *marking) write(ctx context.Context) error {
	if len(m.records) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	c, err := m.app.use(ctx)
	if err != nil {
		return err
	}
	generation, err := m.turn.acquire(ctx)
	if err != nil {
		return err
	}
	defer m.turn.release(generation)
	if generation != m.generation {
		if m.marks, err = m.app.readMarks(ctx, c, m.stream, m.group); err != nil {
			return err
		}
		m.generation = generation
	}
	m.records = slices.DeleteFunc(m.records, func(r *Record) bool { return stateOf(m.marks, r) != DeadLetterOpen })
	done, failed := m.records, error(nil)
	if m.state == DeadLetterReplayed {
		done, failed = m.replay(ctx, c)
	}
	m.records = nil
	if err := m.record(ctx, done); err != nil {
		return errors.Join(failed, fmt.Errorf("that %d records are %s could not be recorded: the next call finds them "+
			"open: %w", len(done), m.state, err))
	}
	m.count.Done += len(done)
	return failed
}

// makeLog makes the stream that record writes to. It is there before the first record is replayed: where it cannot be
// made, each call would replay the same records.
func (m *marking) makeLog(ctx context.Context, c *connection) error {
	log := streams.ReplayLog(m.stream, m.group)
	if n := len(c.prefix + log); n > streams.LongestTopic {
		return fmt.Errorf("the topic %q, which would say what was done, has a name of %d characters where Kafka allows %d",
			c.prefix+log, n, streams.LongestTopic)
	}
	spec := kafka.TopicSpec{Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}}
	c.own.Store(c.prefix+log, spec)
	m.app.mu.Lock()
	cfg := m.app.cfg
	m.app.mu.Unlock()
	if err := m.app.ensureTopic(ctx, c, &cfg, c.prefix+log, spec); err != nil {
		return fmt.Errorf("the stream %q, which says what was done: %w", log, err)
	}
	m.log = log
	return nil
}

// replay writes the records to the group's replay stream. It returns those that were acknowledged.
func (m *marking) replay(ctx context.Context, c *connection) (done []*Record, err error) {
	name := streams.Replay(m.stream, m.group)
	c.own.Store(c.prefix+name, kafka.TopicSpec{Source: c.prefix + streams.Dead(m.stream, m.group)})
	batch := make([]Outgoing, len(m.records))
	for i, r := range m.records {
		batch[i] = Outgoing{Key: r.Key, Value: r.Value, Headers: r.Headers}
	}
	err = m.app.PublishBatch(ctx, name, batch)
	for i, r := range m.records {
		if batch[i].Err == nil {
			done = append(done, r)
		}
	}
	return done, err
}

// record writes down what was done with records.
func (m *marking) record(ctx context.Context, done []*Record) error {
	if len(done) == 0 {
		return nil
	}
	now := time.Now().UTC()
	marks := make([]Outgoing, len(done))
	for i, r := range done {
		value, err := json.Marshal(streams.Mark{State: string(m.state), RecordTime: r.Time.UnixMilli(), Time: now})
		if err != nil {
			return err
		}
		marks[i] = Outgoing{Key: []byte(streams.MarkKey(r.Partition, r.Offset)), Value: value}
	}
	return m.app.PublishBatch(ctx, m.log, marks)
}
