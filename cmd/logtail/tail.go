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
	errReaderGone  = errors.New("the reader of the output is gone")
	errUntil       = errors.New("the time of --until has come")
)

// lastWrite is how long a write that is stuck may keep an interrupted program.
const lastWrite = 500 * time.Millisecond

// run prints the records until all is read, ctx ends, or the reader of the output is gone.
func (o *options) run(ctx context.Context) error {
	client, err := o.connect(ctx)
	if err != nil || client == nil {
		return err
	}
	if o.list {
		defer client.Close()
		return o.listStreams(ctx, client)
	}
	reader, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	stop := watchReader(o.out, func() { gone(errReaderGone) })
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
	if err, ok := o.waitForEnd(ended); !ok { // the goroutine ends with the process
		if o.noFollow && !errors.Is(context.Cause(reader), errReaderGone) {
			return failure(errInterrupted)
		}
		return nil
	} else if !errors.Is(context.Cause(reader), errReaderGone) {
		return err
	}
	return nil
}

// waitForEnd waits for what was interrupted, but not for a write that is stuck: ok is false then.
func (o *options) waitForEnd(ended <-chan error) (err error, ok bool) {
	look := time.NewTicker(lastWrite / 5)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err, true
		case <-look.C:
			if began := o.writing.Load(); began != 0 && time.Since(time.Unix(0, began)) > lastWrite {
				return nil, false
			}
		}
	}
}

// connect waits for a broker, for a limited time. The client is nil without an error when a follow was interrupted.
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

// faults are what could not be read.
type faults struct {
	mu    sync.Mutex
	count int
	lost  int // partitions whose brokers could not be reached
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
		o.beginAtCursor()
	}
	var f faults
	var nowhere error // that the place of --from does not exist
	idle := o.announceIdle()
	defer idle.Stop()
	counts, err := reading.Run(ctx, reading.Options{
		Client: client, Match: o.match, Topics: o.named(), Prefix: o.prefix, Logger: o.logger(),
		From: o.begin, Since: o.begins, Lines: o.lastLines, LookBackTime: o.lookTime, LookBackRecords: o.lookRecords,
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
			o.notice("--lines: %d found among the last %d records, back to %s; --look-back looks further", found,
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

// outcome is how the program ends.
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
		return failure(fmt.Errorf("nothing has come from Kafka for %v: %w; records are missing", o.away,
			cmp.Or(last, err)))
	case err != nil:
		return failure(err)
	case o.noFollow && counts.Read == 0 && f.lost > 0 && f.lost == f.count && last != nil:
		return &exitError{exitUnreachable, fmt.Errorf("no broker that has the records could be reached within "+
			"%v: %w", o.reach, last)}
	}
	if f.count > 0 && !o.noFollow && ctx.Err() == nil && (o.count == 0 || counts.Printed < uint64(o.count)) {
		return failure(errors.New("nothing of what matches may be read"))
	}
	if f.count > 0 && o.noFollow {
		return failure(fmt.Errorf("errors while reading: %d; records are missing", f.count))
	}
	if o.place != nil && counts.Read == 0 {
		return failure(fmt.Errorf("there is no record at %s", o.placeName(o.place)))
	}
	return nil
}

// fault tells what could not be read.
func (o *options) fault(f *faults, e *fetch.PartitionError) {
	tp := kafka.TopicPartition{Topic: e.Topic, Partition: e.Partition}
	if o.place != nil && (tp != o.place.tp || e.Offset > o.place.offset) {
		return // the one record that is asked for is in another partition, or before what cannot be read
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
	again := ""
	if !o.noFollow && (e.Next == e.Offset || errors.Is(e.Err, tail.ErrOpenTransaction)) {
		again = "; they are shown when that is over"
	}
	_, _ = fmt.Fprintf(logtext.Writer{W: o.err}, "logtail: %s/%d: %s: %v%s\n", strings.TrimPrefix(e.Topic, o.prefix),
		e.Partition, what, e.Err, again)
}

// openedStreams sets the columns, and says which patterns match nothing.
func (o *options) openedStreams(ctx context.Context, client *kafka.Client, matched map[string]int, all []string) {
	for topic := range matched {
		o.streamWidth.see(strings.TrimPrefix(topic, o.prefix))
	}
	if len(matched) < len(o.patterns) && o.named() != nil && !o.quiet { // only these were asked for
		if cluster, err := client.AllTopics(ctx); err == nil {
			all = all[:0]
			for topic := range cluster.Topics {
				all = append(all, topic)
			}
		}
	}
	o.opened(matched, all)
}

// summary says what is worth knowing of what was left out, and with --stats all.
func (o *options) summary(c reading.Counts) {
	if o.stats {
		_, _ = fmt.Fprintf(logtext.Writer{W: o.err}, "logtail: records read: %d; printed: %d; left out: %d; "+
			"without a level: %d; no envelopes: %d\n",
			c.Read, c.Printed, c.Rejected, c.NoLevel, c.NoEnvelope)
		return
	}
	if c.NoEnvelope > 0 {
		o.notice("records that are no envelopes: %d", c.NoEnvelope)
	}
	if c.NoLevel > 0 {
		o.notice("records that --level has left out because they have no level: %d", c.NoLevel)
	}
}

// zoneName is a zone as people know it.
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

// idleAfter is how long nothing has to come until a reader is told that we wait.
const idleAfter = time.Second

// announceIdle says once, on a terminal, that nothing has come for a while, lest waiting look like hanging.
func (o *options) announceIdle() *time.Timer {
	once := sync.OnceFunc(func() {
		if !o.noFollow && isTerminal(o.err) {
			o.notice("waiting for new records")
		}
	})
	return time.AfterFunc(idleAfter, once)
}

// idleWriter resets the timer at each write, and keeps since when one is under way.
type idleWriter struct {
	w       io.Writer
	timer   *time.Timer
	writing *atomic.Int64 // nanoseconds since 1970; 0 for none
}

func (i *idleWriter) Write(p []byte) (int, error) {
	i.writing.Store(time.Now().UnixNano())
	n, err := i.w.Write(p)
	i.writing.Store(0)
	i.timer.Reset(idleAfter)
	return n, err
}

// isPipe reports whether a file is one that somebody reads.
func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}
