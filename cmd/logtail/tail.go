package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/reading"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

var (
	errInterrupted = errors.New("interrupted before the end")
	errPipeClosed  = errors.New("the reader of the output has closed it")
	errUntil       = errors.New("the time of --until is reached")
)

// lastWrite is how long a blocked write may delay the end of an interrupted program.
const lastWrite = 500 * time.Millisecond

// run prints the records until everything is read, ctx ends, or the reader closes the output.
func (o *options) run(ctx context.Context) error {
	client, err := o.connect(ctx)
	if err != nil || client == nil {
		return err
	}
	if o.list {
		defer client.Close()
		return o.listStreams(ctx, client)
	}
	reader, closePipe := context.WithCancelCause(ctx)
	defer closePipe(nil)
	stop := watchReader(o.out, func() { closePipe(errPipeClosed) })
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer client.Close()
		ended <- o.read(reader, client)
	}()
	select {
	case err = <-ended:
		return err
	case <-reader.Done():
	}
	if err, ok := o.waitForEnd(ended); !ok { // a write blocks: the goroutine ends with the process
		if o.noFollow && !errors.Is(context.Cause(reader), errPipeClosed) {
			return failure(errInterrupted)
		}
		return nil
	} else if !errors.Is(context.Cause(reader), errPipeClosed) {
		return err
	}
	return nil
}

// waitForEnd waits for the interrupted run, but not for a blocked write: ok is false then.
func (o *options) waitForEnd(ended <-chan error) (err error, ok bool) {
	ticker := time.NewTicker(lastWrite / 5)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err, true
		case <-ticker.C:
			if began := o.writing.Load(); began != 0 && time.Since(time.Unix(0, began)) > lastWrite {
				return nil, false
			}
		}
	}
}

// connect waits for a broker, for a limited time. The client is nil without an error when following was interrupted.
func (o *options) connect(ctx context.Context) (*kafka.Client, error) {
	client, err := kafka.NewClient(o.servers, o.kafkaSettings, o.logger())
	if err != nil {
		return nil, failure(err)
	}
	reach, cancel := context.WithTimeout(ctx, o.reach)
	defer cancel()
	if err = client.CheckVersions(reach); err == nil {
		return client, nil
	}
	last := client.LastConnError()
	client.Close()
	switch {
	case ctx.Err() != nil && !o.noFollow && !o.list:
		return nil, nil
	case ctx.Err() != nil:
		return nil, failure(errInterrupted)
	case reach.Err() != nil:
		if last == nil {
			last = err
		}
		return nil, &exitError{exitUnreachable, fmt.Errorf("no broker could be reached within %v: %w", o.reach, last)}
	default: // such as credentials that are refused
		return nil, failure(err)
	}
}

// faults counts the partitions that could not be read.
type faults struct {
	mu    sync.Mutex
	count int
	lost  int // partitions with unreachable brokers
}

// read reads and prints.
func (o *options) read(ctx context.Context, client *kafka.Client) error {
	if !o.ends.IsZero() && !o.noFollow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, o.ends.Add(o.window+time.Second), errUntil)
		defer cancel()
	}
	if o.pretty {
		o.notice("times are in %s", zoneName(o.now.In(o.zone)))
	}
	positions, save, err := o.cursor()
	if err != nil {
		return err
	}
	if positions != nil {
		o.startAtCursor()
	}
	var f faults
	var nowhere error // the offset of --from does not exist
	idle := o.announceIdle()
	defer idle.Stop()
	counts, err := reading.Run(ctx, reading.Options{
		Client: client, Match: o.match, Topics: o.named(), Prefix: o.prefix, Logger: o.logger(),
		From: o.startFrom, Since: o.startTime, Lines: o.lastLines, LookBackTime: o.lookTime, LookBackRecords: o.lookRecords,
		Bounds: o.bounds, Positions: positions, Until: o.ends, Follow: !o.noFollow, Away: o.away,
		Filter: &o.filter, Printer: o.printer, Separator: map[bool]byte{true: 0, false: '\n'}[o.null],
		Window: o.window, Limit: o.count, Out: &idleWriter{w: o.out, timer: idle, writing: &o.writing},
		Fault: func(e *fetch.PartitionError) { o.fault(&f, e) },
		Opened: func(matched map[string]int, starts, ends map[kafka.TopicPartition]int64, all []string) {
			o.openedStreams(ctx, client, matched, all)
			if nowhere = o.nowhere(matched, ends); nowhere != nil && !o.noFollow {
				o.notice("%v", nowhere)
			}
			o.noticeDeleted(starts)
		},
		LookedBack: func(records, found int, oldest time.Time) {
			o.notice("--lines: %d found among the last %d records, back to %s; --look-back extends the search", found,
				records, o.shown(oldest))
		},
		Save: save,
	})
	o.summary(counts)
	err = o.outcome(ctx, client, counts, &f, err)
	if err == nil && nowhere != nil && o.noFollow {
		return failure(nowhere)
	}
	return err
}

// outcome returns the error with which the program ends.
func (o *options) outcome(ctx context.Context, client *kafka.Client, counts reading.Counts, f *faults,
	err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch last := client.LastConnError(); {
	case errors.Is(err, reading.ErrOutput):
		return failure(err)
	case errors.Is(context.Cause(ctx), errUntil):
	case o.noFollow && ctx.Err() != nil:
		return failure(errInterrupted)
	case errors.Is(err, reading.ErrAway):
		return failure(fmt.Errorf("Kafka has sent nothing for %v: %w; records are missing", o.away,
			cmp.Or(last, err)))
	case err != nil:
		return failure(err)
	case o.noFollow && counts.Read == 0 && f.lost > 0 && f.lost == f.count && last != nil:
		return &exitError{exitUnreachable, fmt.Errorf("no broker with the records could be reached within "+
			"%v: %w", o.reach, last)}
	}
	if f.count > 0 && !o.noFollow && ctx.Err() == nil && (o.count == 0 || counts.Printed < uint64(o.count)) {
		return failure(errors.New("no right to read any of the streams that match"))
	}
	if f.count > 0 && o.noFollow {
		return failure(fmt.Errorf("errors while reading: %d; records are missing", f.count))
	}
	if o.onlyRecord != nil && counts.Read == 0 {
		return failure(fmt.Errorf("no record at %s", o.placeName(o.onlyRecord)))
	}
	return nil
}

// fault reports what could not be read.
func (o *options) fault(f *faults, e *fetch.PartitionError) {
	tp := kafka.TopicPartition{Topic: e.Topic, Partition: e.Partition}
	if o.onlyRecord != nil && (tp != o.onlyRecord.tp || e.Offset > o.onlyRecord.offset) {
		return // the requested record is in another partition, or before the fault
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if kafka.Classify(e.Err) == kafka.Transient && !errors.Is(e.Err, fetch.ErrNoLeader) && !errors.Is(e.Err,
		tail.ErrDeleted) &&
		!errors.Is(e.Err, tail.ErrOpenTransaction) {
		f.lost++
	}
	what := "cannot be read"
	switch {
	case e.Offset >= 0 && e.Next > e.Offset:
		what = fmt.Sprintf("records %d to %d", e.Offset, e.Next-1)
	case e.Offset >= 0:
		what = fmt.Sprintf("records from %d on", e.Offset)
	}
	hint := ""
	if !o.noFollow && (e.Next == e.Offset || errors.Is(e.Err, tail.ErrOpenTransaction)) {
		hint = "; they are shown when that is over"
	}
	_, _ = fmt.Fprintf(logtext.Writer{W: o.err}, "logtail: %s/%d: %s: %v%s\n", strings.TrimPrefix(e.Topic, o.prefix),
		e.Partition, what, e.Err, hint)
}

// openedStreams sets the width of the streams, and reports the patterns that match nothing.
func (o *options) openedStreams(ctx context.Context, client *kafka.Client, matched map[string]int, all []string) {
	for topic := range matched {
		o.streamWidth.see(strings.TrimPrefix(topic, o.prefix))
	}
	if len(matched) < len(o.patterns) && o.named() != nil && !o.quiet { // only these were looked up
		if cluster, err := client.AllTopics(ctx); err == nil {
			all = all[:0]
			for topic := range cluster.Topics {
				all = append(all, topic)
			}
		}
	}
	o.opened(matched, all)
}

// summary reports the records that were left out, and with --stats all counts.
func (o *options) summary(c reading.Counts) {
	if o.stats {
		_, _ = fmt.Fprintf(logtext.Writer{W: o.err}, "logtail: records read: %d; printed: %d; left out: %d; "+
			"without a level: %d; not envelopes: %d\n",
			c.Read, c.Printed, c.Rejected, c.NoLevel, c.NoEnvelope)
		return
	}
	if c.NoEnvelope > 0 {
		o.notice("records that are not envelopes: %d", c.NoEnvelope)
	}
	if c.NoLevel > 0 {
		o.notice("records that --level left out because they have no level: %d", c.NoLevel)
	}
}

// zoneName returns the common name of a zone.
func zoneName(t time.Time) string {
	name, offset := t.Zone()
	if zone := t.Location().String(); zone != "Local" && zone != name {
		name = zone
	}
	if name == "UTC" && offset == 0 {
		return name
	}
	return name + " (" + t.Format("-07:00") + ")"
}

// idleAfter is the silence after which logtail prints that it waits.
const idleAfter = time.Second

// announceIdle reports once, on a terminal, that no record has arrived for a while, so that waiting does not look
// like hanging.
func (o *options) announceIdle() *time.Timer {
	once := sync.OnceFunc(func() {
		if !o.noFollow && isTerminal(o.err) {
			o.notice("waiting for new records")
		}
	})
	return time.AfterFunc(idleAfter, once)
}

// idleWriter resets the timer at each write, and stores when the current write began.
type idleWriter struct {
	w       io.Writer
	timer   *time.Timer
	writing *atomic.Int64 // nanoseconds since 1970; 0: no write
}

func (i *idleWriter) Write(p []byte) (int, error) {
	i.writing.Store(time.Now().UnixNano())
	n, err := i.w.Write(p)
	i.writing.Store(0)
	i.timer.Reset(idleAfter)
	return n, err
}

// isPipe reports whether a file is a pipe or socket.
func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}
