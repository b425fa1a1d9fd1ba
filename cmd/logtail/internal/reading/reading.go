// Package reading reads the streams that logtail shows: it finds where each partition begins and ends, filters and
// formats the records on all processors, and prints them ordered by time.
package reading

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/filter"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/merge"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
)

// Options configure Run.
type Options struct {
	Client *kafka.Client
	// Match selects the topics. Topics lists the only ones that it may select; nil: any.
	Match  func(topic string) bool
	Topics []string
	// Prefix begins the name of each topic.
	Prefix string
	// Logger receives events of brokers and partitions.
	Logger *slog.Logger

	// From and Since select where the partitions begin: at their first records, their ends, or at a time.
	From  tail.From
	Since time.Time
	// Lines begins with this many latest records that pass the filter, searched as far back as From allows; negative:
	// all records.
	Lines int
	// LookBackTime and LookBackRecords bound this search; 0: unbounded.
	LookBackTime    time.Duration
	LookBackRecords int
	// Bounds adjusts the begin and the end of a partition; nil: no change.
	Bounds func(tp kafka.TopicPartition, start, end int64) (int64, int64)
	// Positions override From for their partitions, including those that are not readable yet.
	Positions map[kafka.TopicPartition]int64
	// Until ends each partition behind the records of that time; zero: never.
	Until time.Time
	// Follow continues at the end.
	Follow bool
	// Away ends Run with ErrAway when Kafka has delivered nothing for so long, without Follow; 0: never.
	Away time.Duration

	Filter *filter.Filter
	// Printer creates a printer for each goroutine.
	Printer func() form.Printer
	// Separator follows each record: usually a newline.
	Separator byte
	Window    time.Duration
	// Limit ends Run after this many records; 0: never.
	Limit int
	Out   io.Writer

	// Fault is called for records that could not be read. It may be called until Run returns.
	Fault func(*fetch.PartitionError)
	// Opened is called with the matching topics at the start and their number of partitions, the begin and the end of
	// the partitions by From and Since, and all existing topics.
	Opened func(topics map[string]int, starts, ends map[kafka.TopicPartition]int64, all []string)
	// LookedBack is called when the search for Lines ends at its bounds, with how far it looked.
	LookedBack func(records, found int, oldest time.Time)
	// Save is called with the offsets up to which everything is printed, about every second and at the end; nil: not
	// saved.
	Save func(map[kafka.TopicPartition]int64) error
}

// Counts are the numbers of records by result.
type Counts struct {
	Read, Printed, Rejected uint64
	// NoEnvelope counts the printed records that are not envelopes, NoLevel the rejected records without a level.
	NoEnvelope, NoLevel uint64
}

// errDone ends reading when no more records are needed: the limit is reached, or the output is closed.
var errDone = errors.New("reading: nothing more is to be printed")

// ErrOutput is the error of Run when the output cannot be written.
var ErrOutput = errors.New("write the output")

// ErrAway is the error of Run when Kafka has delivered nothing for Options.Away.
var ErrAway = errors.New("Kafka does not answer")

// reader is the state of one Run.
type reader struct {
	Options
	silence *silence
	session *tail.Session
	pool    *pool
	out     *output
	shared  sharedCounts
}

// Run reads until everything is read or, with Follow, until ctx ends, which is then not an error.
func Run(ctx context.Context, o Options) (Counts, error) {
	r := &reader{Options: o}
	r.out = &output{w: o.Out, save: o.Save, positions: make(map[kafka.TopicPartition]int64)}
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.pool = newPool(runtime.GOMAXPROCS(0), r)
	defer r.pool.close()
	err := r.run(reading, cancel)
	if r.out.err != nil {
		return r.shared.counts(), fmt.Errorf("%w: %w", ErrOutput, r.out.err)
	}
	switch {
	case errors.Is(err, errDone), errors.Is(err, tail.ErrStopped), ctx.Err() != nil && o.Follow:
		err = nil
	}
	if saved := r.out.saveNow(); err == nil {
		err = saved
	}
	return r.shared.counts(), err
}

func (r *reader) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	if !r.Follow && r.Away > 0 {
		r.silence = newSilence(r.Away, func() { cancel(ErrAway) })
		defer r.silence.stop()
	}
	var err error
	r.session, err = tail.Open(ctx, r.Client, tail.Options{
		Match: r.Match, TopicPrefix: r.Prefix, Topics: r.Topics, From: r.From, Time: r.Since.Add(-lateness),
		StopAtEnd:  !r.Follow,
		ReportOpen: true, Logger: r.Logger,
	}, r.yield)
	if err != nil {
		return err
	}
	defer r.session.Close()
	if r.Opened != nil {
		r.Opened(r.session.Topics(), r.session.Starts, r.session.Ends, r.session.All())
	}
	// TellOpen needs the session's own ends: Bounds may end a partition earlier.
	starts, ends := r.session.Starts, maps.Clone(r.session.Ends)
	if !r.Until.IsZero() && r.Until.Before(time.Now()) {
		if ends, err = r.session.At(ctx, r.Until.Add(lateness)); err != nil {
			return err
		}
	}
	for tp, start := range starts {
		if offset, ok := r.Positions[tp]; ok && offset > r.session.Ends[tp] {
			r.Logger.Warn("reading: the partition was recreated; it is read from its first record", "topic", tp.Topic,
				"partition", tp.Partition)
		} else if ok {
			start = offset
		} else if r.Bounds != nil {
			start, ends[tp] = r.Bounds(tp, start, ends[tp])
		}
		starts[tp] = start
	}
	if r.Follow {
		for tp, offset := range r.Positions { // also for partitions that are not readable yet
			if _, known := starts[tp]; !known {
				starts[tp] = offset
			}
		}
	}
	r.out.start(starts)
	if r.Lines >= 0 {
		if err := r.lookBack(ctx, starts, ends); err != nil {
			return err
		}
		if !r.Follow {
			r.out.start(ends)
			return r.session.ReportOpen()
		}
		maps.Copy(starts, r.session.Ends)
		r.out.start(starts)
	}
	return r.stream(ctx, cancel, starts, ends)
}

// lateness is the maximum difference of a record's own time and Kafka's for which Since and Until find the record.
const lateness = 5 * time.Minute

// stream prints from starts on: up to ends, or, with Follow, without end.
func (r *reader) stream(ctx context.Context, cancel context.CancelCauseFunc, starts,
	ends map[kafka.TopicPartition]int64) error {
	expect := make(map[kafka.TopicPartition]int64)
	for tp, end := range ends {
		if start, ok := starts[tp]; ok && start < end {
			expect[tp] = end
		}
	}
	m := merge.New(merge.Options{
		Window: r.Window, Limit: r.Limit, Pause: r.pause, Resume: r.resume, Print: r.print,
		Flush: r.out.flush,
		Free:  r.pool.free,
	})
	merged := make(chan error, 1)
	r.pool.startMerging()
	r.pool.send(merge.Event{Expect: expect})
	go func() {
		err := m.Run(r.pool.events)
		r.pool.stop() // it must not wait for the merger
		cancel(errDone)
		merged <- err
	}()
	var err error
	if r.Follow {
		if err = r.session.ReportOpen(); err == nil { // what lies behind is shown when the transaction has ended
			err = r.session.Follow(ctx)
		}
	} else if err = r.session.Read(ctx, starts, ends); err == nil {
		err = r.session.ReportOpen()
	}
	if err != nil && !errors.Is(err, errDone) && context.Cause(ctx) != nil {
		r.pool.send(merge.Event{Interrupted: true})
	}
	r.silence.stop() // everything is read
	r.pool.finish()
	if failed := <-merged; failed != nil {
		return failed
	}
	return err
}

// yield processes the session's chunks. Meanwhile the silence does not count.
func (r *reader) yield(c *fetch.Chunk, err error) bool {
	r.silence.end()
	defer r.silence.start()
	if err == nil {
		return r.pool.add(c)
	}
	if bad, ok := errors.AsType[*fetch.PartitionError](err); ok {
		r.Fault(bad)
		tp := kafka.TopicPartition{Topic: bad.Topic, Partition: bad.Partition}
		return bad.Next >= 0 || r.pool.send(merge.Event{Removed: &tp})
	}
	return true
}

func (r *reader) pause(tp kafka.TopicPartition) {
	r.silence.paused(+1)
	r.session.Pause(tp)
}

func (r *reader) resume(tp kafka.TopicPartition) {
	r.session.Resume(tp)
	r.silence.paused(-1)
}

func (r *reader) print(text []byte, items []merge.Item) error {
	r.shared.printed.Add(uint64(len(items)))
	for i := range items {
		if items[i].NoEnvelope {
			r.shared.noEnvelope.Add(1)
		}
	}
	return r.out.write(text)
}

// output collects text so that few writes are needed, and keeps the offsets up to which everything is written.
type output struct {
	w         io.Writer
	buf       []byte
	err       error // error of the first failed write; no write follows it
	save      func(map[kafka.TopicPartition]int64) error
	positions map[kafka.TopicPartition]int64
	saved     time.Time
}

const outputFull = 128 << 10 // bytes that are written at once

func (o *output) start(positions map[kafka.TopicPartition]int64) { maps.Copy(o.positions, positions) }

func (o *output) write(text []byte) error {
	o.buf = append(o.buf, text...)
	if len(o.buf) >= outputFull {
		return o.flushText()
	}
	return o.err
}

func (o *output) flushText() error {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	if o.buf = o.buf[:0]; cap(o.buf) > 8*outputFull { // do not keep the memory of one huge record
		o.buf = nil
	}
	return o.err
}

func (o *output) flush(positions map[kafka.TopicPartition]int64) error {
	if err := o.flushText(); err != nil || o.save == nil {
		return err
	}
	maps.Copy(o.positions, positions)
	if time.Since(o.saved) < time.Second {
		return nil
	}
	return o.saveNow()
}

func (o *output) saveNow() error {
	if o.save == nil || o.err != nil {
		return nil
	}
	o.saved = time.Now()
	return o.save(o.positions)
}
