package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// listStreams prints the streams that match: their partitions, their number of offsets, and the time of the last
// record.
func (o *options) listStreams(ctx context.Context, client *kafka.Client) error {
	var f faults
	last := make(map[string]time.Time)
	s, err := tail.Open(ctx, client, tail.Options{
		Match: o.match, TopicPrefix: o.prefix, Topics: o.named(), From: tail.First, StopAtEnd: true, Logger: o.logger(),
	}, func(c *fetch.Chunk, err error) bool {
		if bad, ok := errors.AsType[*fetch.PartitionError](err); ok {
			o.fault(&f, bad)
			return true
		}
		if err == nil && len(c.Records) > 0 {
			if t := entry.Time(&c.Records[len(c.Records)-1]); t.After(last[c.Topic]) {
				last[c.Topic] = t
			}
		}
		return true
	})
	if err != nil {
		return failure(err)
	}
	defer s.Close()
	o.openedStreams(ctx, client, s.Topics(), s.All())
	from := make(map[kafka.TopicPartition]int64)
	records := make(map[string]int64)
	for tp, end := range s.Ends {
		start := s.Starts[tp]
		records[tp.Topic] += end - start
		if start < end {
			from[tp] = max(start, end-2) // the last one may be a transaction marker
		}
	}
	if err := s.Read(ctx, from, s.Ends); err != nil {
		return failure(err)
	}
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "STREAM\tPARTITIONS\tRECORDS\tLAST RECORD")
	topics := s.Topics()
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		at := "-"
		if t := last[topic]; !t.IsZero() {
			at = o.shown(t)
		}
		name := logtext.AppendName(nil, strings.TrimPrefix(topic, o.prefix))
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", name, topics[topic], records[topic], at)
	}
	if err := w.Flush(); err != nil {
		return failure(err)
	}
	if f.count > 0 {
		return failure(fmt.Errorf("errors while reading: %d", f.count))
	}
	return nil
}
