//go:build unix

package main

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
)

// sizes shows the CPU time of a record by its size and codec, published and consumed.
func sizes() []comparison {
	var list []comparison
	for _, c := range []struct {
		size    int
		codec   string
		records int
	}{
		{30, "none", 1_000_000},
		{1000, "none", 400_000}, {1000, "gzip", 100_000}, {1000, "snappy", 200_000}, {1000, "lz4", 200_000},
		{1000, "zstd", 200_000},
		{60_000, "none", 8_000}, {700_000, "none", 600},
	} {
		name := fmt.Sprintf("%d-%s", c.size, c.codec)
		about := fmt.Sprintf("%d records of %d bytes, codec %s, 7 partitions", c.records, c.size, c.codec)
		list = append(list, comparison{
			name: "sizes/publish/" + name, about: about,
			setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, 7, "sizes") },
			peers: publishAll("sizes", load{records: c.records, size: c.size, codec: c.codec}),
		}, comparison{
			name: "sizes/consume/" + name, about: about,
			setup: func(ctx context.Context, p place) error {
				if err := makeTopics(ctx, p, 7, "sizes"); err != nil {
					return err
				}
				return fill(ctx, p, "sizes", batch{records: c.records, size: c.size, codec: c.codec, partition: evenly(7)})
			},
			peers: readAll("sizes", c.records, 0),
		})
	}
	return list
}

// load is what a publisher sends.
type load struct {
	records, size int
	codec         string
	keyed         bool // by 100,003 keys
	processors    int  // GOMAXPROCS; 0 for what the runtime chooses
}

// publishAll returns the peers that publish this load and wait until the broker has all of it. The variant "ids" of
// franz-go gives each record the header kafkaesk-id, as ours does: the same bytes.
func publishAll(stream string, l load) map[string]measurement {
	return map[string]measurement{
		ours: func(ctx context.Context, p place) (figures, error) { return publishOurs(ctx, p, stream, l) },
		franz: func(ctx context.Context, p place) (figures, error) {
			return publishFranz(ctx, p, stream, l, noHeaders)
		},
		franz + "-ids": func(ctx context.Context, p place) (figures, error) {
			return publishFranz(ctx, p, stream, l, idHeader)
		},
	}
}

func (l load) key(i int) []byte {
	if !l.keyed {
		return nil
	}
	return strconv.AppendInt(nil, int64(i%100_003), 10)
}

// publishOurs calls PublishBatch from four goroutines.
func publishOurs(ctx context.Context, p place, stream string, l load) (figures, error) {
	useProcessors(l.processors)
	settings := bus.Settings{}
	if l.codec != "none" && l.codec != "" {
		settings["compression_type"] = l.codec
	}
	app := bus.New(bus.Config{Servers: p.Servers, TopicPrefix: p.Prefix, Settings: settings})
	values := texts(l.size)
	if err := app.PublishRaw(ctx, stream, values[0]); err != nil { // connected
		return nil, err
	}
	const publishers, bytes = 4, 1 << 20 // of one call
	each := max(1, min(1000, bytes/l.size))
	if l.keyed { // a call waits for all of its records: with fewer, each of many partitions would get a batch of one
		each = 50_000
	}
	var next atomic.Int64
	begin, cpu := time.Now(), cpuTime()
	var g errgroup.Group
	for range publishers {
		g.Go(func() error {
			out := make([]bus.Outgoing, each)
			for {
				end := int(next.Add(int64(each)))
				list := out[:max(0, min(each, l.records-(end-each)))]
				if len(list) == 0 {
					return nil
				}
				for i := range list {
					list[i] = bus.Outgoing{Key: l.key(end - each + i), Value: values[i%len(values)]}
				}
				if err := app.PublishBatch(ctx, stream, list); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	f := l.figures(time.Since(begin), cpuTime()-cpu)
	return f, app.Close(ctx)
}

func noHeaders() []kgo.RecordHeader { return nil }

func idHeader() []kgo.RecordHeader {
	var id [recordid.Length]byte
	recordid.New(&id, time.Now())
	return []kgo.RecordHeader{{Key: "kafkaesk-id", Value: id[:]}}
}

func publishFranz(
	ctx context.Context, p place, stream string, l load, headers func() []kgo.RecordHeader,
) (figures, error) {
	useProcessors(l.processors)
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.DefaultProduceTopic(p.Prefix+stream),
		kgo.ProducerBatchCompression(franzCodec(l.codec)), kgo.ProducerLinger(5*time.Millisecond), // as ours has by default
		kgo.MaxBufferedRecords(250_000), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	values := texts(l.size)
	if err := client.ProduceSync(ctx, &kgo.Record{Value: values[0]}).FirstErr(); err != nil { // connected
		return nil, err
	}
	var failed atomic.Pointer[error]
	begin, cpu := time.Now(), cpuTime()
	for i := range l.records {
		r := &kgo.Record{Key: l.key(i), Value: values[i%len(values)], Headers: headers()}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return l.figures(time.Since(begin), cpuTime()-cpu), nil
}

func (l load) figures(took, cpu time.Duration) figures {
	return figures{
		{"CPU us/record", cpu.Seconds() * 1e6 / float64(l.records)},
		{"time us/record", took.Seconds() * 1e6 / float64(l.records)},
	}
}

// useProcessors sets GOMAXPROCS of this process, unless n is 0.
func useProcessors(n int) {
	if n > 0 {
		runtime.GOMAXPROCS(n)
	}
}
