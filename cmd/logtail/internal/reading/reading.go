// Package reading reads the streams that logtail shows: it finds where to begin and to end in each partition, has the
// records filtered and put into their form on all processors, and prints them in the order of their times.
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

// Options say what is read and what is done with it.
type Options struct {
	Client *kafka.Client
	// Match says which topics are read, and Topics are the only ones that it may take; nil: any.
	Match  func(topic string) bool
	Topics []string
	// Prefix is what topics have in front of their streams.
	Prefix string
	// Logger is told of what happens to brokers and partitions.
	Logger *slog.Logger

	// From and Since say where the partitions begin: at their first records, their ends, or at a time.
	From  tail.From
	Since time.Time
	// Lines begins with the latest records only that pass the filter, looked for as far back as From says; negative:
	// all.
	Lines int
	// LookBackTime and LookBackRecords bound the search for them; 0: no bound.
	LookBackTime    time.Duration
	LookBackRecords int
	// Bounds changes where a partition begins and ends, of which it gets what the other options say; nil: it does not.
	Bounds func(tp kafka.TopicPartition, start, end int64) (int64, int64)
	// Positions are where partitions begin, whatever From says, also those that cannot be read yet.
	Positions map[kafka.TopicPartition]int64
	// Until ends in each partition behind the records of that time; zero: not at all.
	Until time.Time
	// Follow reads on at the end.
	Follow bool
	// Away ends Run with ErrAway when Kafka has given nothing for so long, without Follow; 0: never.
	Away time.Duration

	Filter *filter.Filter
	// Printer makes a printer, for each goroutine that needs one.
	Printer func() form.Printer
	// Separator stands behind each record: an end of line as a rule.
	Separator byte
	Window    time.Duration
	// Limit ends after so many records; 0: never.
	Limit int
	Out   io.Writer

	// Fault is told of records that could not be read. It may be called until Run returns.
	Fault func(*fetch.PartitionError)
	// Opened is told the topics that match at the start, with the number of their partitions, where From and Since say
	// that these begin, where they end, and all topics that there are.
	Opened func(topics map[string]int, starts, ends map[kafka.TopicPartition]int64, all []string)
	// LookedBack is told how far a search for Lines went that its bounds have ended.
	LookedBack func(records, found int, oldest time.Time)
	// Save is told the offsets up to which all is printed, about every second and at the end; nil: nobody is.
	Save func(map[kafka.TopicPartition]int64) error
}

// Counts are what became of the records.
type Counts struct {
	Read, Printed, Rejected uint64
	// NoEnvelope are those among the printed that are no envelopes, NoLevel those among the rejected that have no
	// level.
	NoEnvelope, NoLevel uint64
}

// errDone ends reading when nothing more is to be printed: the limit is reached, or the output is gone.
var errDone = errors.New("reading: nothing more is to be printed")

// ErrOutput is the error of Run when the output cannot be written.
var ErrOutput = errors.New("write the output")

// ErrAway is the error of Run when Kafka has given nothing for as long as Options.Away says.
var ErrAway = errors.New("Kafka does not answer any more")

// reader is one Run.
type reader struct {
	Options
	silence *silence
	session *tail.Session
	pool    *pool
	out     *output
	shared  sharedCounts
}

// Run reads until all is read or, following, until ctx ends, which is no error then.
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
			r.Logger.Warn("reading: the partition has been made anew; it is read from its first record", "topic", tp.Topic,
				"partition", tp.Partition)
		} else if ok {
			start = offset
		} else if r.Bounds != nil {
			start, ends[tp] = r.Bounds(tp, start, ends[tp])
		}
		starts[tp] = start
	}
	if r.Follow {
		for tp, offset := range r.Positions { // also where nothing can be read yet
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

// lateness is how far a record's own time and Kafka's may lie apart for it to be found by Since and Until.
const lateness = 5 * time.Minute

// stream prints from starts on: up to ends, or for as long as it follows.
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
	r.pool.begin()
	r.pool.send(merge.Event{Expect: expect})
	go func() {
		err := m.Run(r.pool.events)
		r.pool.stop() // so that nobody waits for the merger
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
	r.silence.stop() // all is read
	r.pool.finish()
	if failed := <-merged; failed != nil {
		return failed
	}
	return err
}

// yield takes what the session reads. Meanwhile Kafka is not waited for.
func (r *reader) yield(c *fetch.Chunk, err error) bool {
	r.silence.end()
	defer r.silence.begin()
	if err == nil {
		return r.pool.add(c)
	}
	if bad, ok := errors.AsType[*fetch.PartitionError](err); ok {
		r.Fault(bad)
		tp := kafka.TopicPartition{Topic: bad.Topic, Partition: bad.Partition}
		return bad.Next >= 0 || r.pool.send(merge.Event{Gone: &tp})
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
		if items[i].Foreign {
			r.shared.noEnvelope.Add(1)
		}
	}
	return r.out.write(text)
}

// output gathers text, so that much goes out in few writes, and keeps the offsets up to which all is written.
type output struct {
	w         io.Writer
	buf       []byte
	err       error // of the first write that failed; nothing is written after it
	save      func(map[kafka.TopicPartition]int64) error
	positions map[kafka.TopicPartition]int64
	saved     time.Time
}

const outputFull = 128 << 10 // bytes that are written without waiting for more

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
	if o.buf = o.buf[:0]; cap(o.buf) > 8*outputFull { // one huge record need not be remembered
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
