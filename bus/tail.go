package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// TailOption is an option of [App.Tail]. A nil one changes nothing.
type TailOption func(*tailOptions)

type tailOptions struct {
	tail.Options
	include []string
	exclude []string
}

// FromEnd begins with what is written after the call, in streams that exist. A stream that appears later is read from
// its first record. It is the default.
func FromEnd() TailOption { return func(o *tailOptions) { o.From = tail.End } }

// FromStart begins with the first record of every stream.
func FromStart() TailOption { return func(o *tailOptions) { o.From = tail.First } }

// FromTime begins, in every partition, with the first record whose time is t or later. Kafka keeps whole
// milliseconds, so records of t's own millisecond are read, too: what is published after t is never missed.
func FromTime(t time.Time) TailOption {
	return func(o *tailOptions) { o.From, o.Time = tail.Time, t.Truncate(time.Millisecond) }
}

// LastRecords begins with the n latest records of all streams together, in the order of their times.
func LastRecords(n int) TailOption {
	return func(o *tailOptions) { o.From, o.Last = tail.Last, n }
}

// StopAtEnd ends the tail when it has read what was there at its start. What was there and could not be read is an
// error, a *[PartitionError] for each partition: one without a leader, one that may not be read, records that were
// deleted before they were read, and, last, records behind the beginning of an open transaction. When ctx ends before
// all is read, the loop's last error says so. A tail that ends without an error has read all.
func StopAtEnd() TailOption { return func(o *tailOptions) { o.StopAtEnd = true } }

// Include adds the streams that match one of the patterns to those of the tail's own pattern. A stream that matches
// several is read once, and [LastRecords] counts over all of them. It may be given more than once.
func Include(patterns ...string) TailOption {
	return func(o *tailOptions) { o.include = append(o.include, patterns...) }
}

// Exclude leaves out the streams that match pattern. It may be given more than once.
func Exclude(pattern string) TailOption {
	return func(o *tailOptions) { o.exclude = append(o.exclude, pattern) }
}

// Tail reads the streams that match pattern, an fnmatch pattern such as "logs.*". It ends when ctx ends, when the
// loop is left or, with [StopAtEnd], when all is read. It joins no consumer group and commits nothing. Streams that
// appear later are found within about two seconds and read from their first record. Records of one partition come in
// their order; between partitions there is none, except with [LastRecords]. Records of aborted transactions are left
// out. The App is initialized if it is not.
//
// The bus's own streams of retries, dead letters and replays are left out unless a pattern names them, such as
// "content.*.dead". A pattern that no stream's name can match is an error, in [Exclude] too. While a pattern matches
// nothing the Tail waits for streams, and after 10 seconds one line in the App's log names the streams that are near.
// With StopAtEnd the loop ends at once then, without a record or an error.
//
// A broker that is away is waited for. The end of ctx is no error, except with StopAtEnd. An error is a
// *[PartitionError] about one partition, after which the loop goes on, or it is the last thing that the loop gets,
// such as [ErrAuth].
//
// A Tail that follows yields a PartitionError for a batch that is broken, for a record that takes more than 64 MiB of
// memory, and for a partition that may not be read, which it tries again every few seconds without further errors;
// when it may read nothing at all it ends. Records that were deleted before they were read, and partitions without a
// leader, are then lines in the App's log: one when it begins and one when it is over. With StopAtEnd they are
// errors.
//
// A stream that is deleted and made again within two seconds is taken for the old one: records before the old
// position are not seen.
//
// A record and its slices belong to the caller, and are never written again. A record that is kept keeps in memory
// what its partition had in that response, or the up to 4 MiB of its compressed batch that were decompressed with it.
func (a *App) Tail(ctx context.Context, pattern string, opts ...TailOption) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		if err := a.tail(ctx, pattern, opts, yield); err != nil {
			yield(nil, fmt.Errorf("bus: tail %q: %w", pattern, err))
		}
	}
}

// tail returns only the errors that keep it from beginning.
func (a *App) tail(ctx context.Context, pattern string, opts []TailOption, yield func(*Record, error) bool) error {
	var o tailOptions
	apply(&o, opts)
	if o.From == tail.Last && o.Last < 0 {
		return fmt.Errorf("last %d records: give a number from 0", o.Last)
	}
	patterns := append([]string{pattern}, o.include...)
	for _, p := range slices.Concat(patterns, o.exclude) { // a broker that is away must not delay this
		if err := streams.CheckPattern("", p); err != nil {
			return err
		}
	}
	c, err := a.use(ctx)
	if err != nil {
		return err
	}
	include, err := streams.Compile(c.prefix, patterns)
	if err != nil {
		return err
	}
	exclude, err := streams.Compile(c.prefix, o.exclude)
	if err != nil {
		return err
	}
	o.Match = matcher(c.prefix, include, exclude)
	o.Topics = streams.Named(c.prefix, patterns)
	o.Logger, o.TopicPrefix = c.log, c.prefix
	open, release := a.whileOpen(ctx)
	defer release()
	if !o.StopAtEnd {
		var watch sync.WaitGroup
		watch.Go(func() { streams.NewUnmatched(c.prefix, include).Watch(open, c.client, c.log.With("tail", pattern)) })
		defer watch.Wait()
		defer release() // ends it
	}
	for chunk, err := range tail.Run(open, c.client, o.Options) {
		if err != nil {
			if ctx.Err() != nil && !o.StopAtEnd {
				return nil
			}
			if bad, ok := errors.AsType[*fetch.PartitionError](err); ok {
				err = newPartitionError(c.prefix, bad)
			}
			if !yield(nil, fmt.Errorf("bus: tail %q: %w", pattern, err)) {
				return nil
			}
			continue
		}
		for i := range chunk.Records {
			if !yield((*Record)(&chunk.Records[i]), nil) {
				return nil
			}
		}
	}
	return nil
}

// matcher tells which topics belong to a tail: those of one of the included patterns, and of none that is excluded.
func matcher(prefix string, include, exclude []fnmatch.Pattern) func(topic string) bool {
	return func(topic string) bool {
		included := func(p fnmatch.Pattern) bool { return streams.Reads(p, prefix, topic) }
		return slices.ContainsFunc(include, included) && !streams.MatchAny(exclude, topic)
	}
}
