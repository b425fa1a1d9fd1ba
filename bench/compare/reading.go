//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// reading takes the times of reading so many records in a new group, from before the client is made. Its method note
// may be called concurrently.
type reading struct {
	want     int64
	seen     atomic.Int64
	start    time.Time
	startCPU time.Duration
	first    time.Duration // from the start to the first record handled
	all      time.Duration // from the start to the last one
	cpu      time.Duration // used meanwhile
	stop     context.CancelFunc
}

// note counts a record that is handled.
func (r *reading) note() {
	seen := r.seen.Add(1)
	if seen == 1 {
		r.first = time.Since(r.start)
	}
	if seen == r.want {
		r.all, r.cpu = time.Since(r.start), cpuTime()-r.startCPU
		r.stop()
	}
}

// figures of a reading that is over.
func (r *reading) figures() figures {
	return figures{
		{"all read s", r.all.Seconds()},
		{"first record ms", r.first.Seconds() * 1e3},
		{"CPU us/record", r.cpu.Seconds() * 1e6 / float64(r.want)},
	}
}

// reader reads n records of the stream.
type reader func(ctx context.Context, p place, stream string, n int) (*reading, error)

// readers are those of the peers.
func readers() map[string]reader { return map[string]reader{ours: readOurs, franz: readFranz} }

// readAll returns the peers of a comparison in which a stream is read.
func readAll(stream string, n, processors int) map[string]measurement {
	peers := make(map[string]measurement)
	for name, read := range readers() {
		peers[name] = func(ctx context.Context, p place) (figures, error) {
			useProcessors(processors)
			r, err := read(ctx, p, stream, n)
			if err != nil {
				return nil, err
			}
			return r.figures(), nil
		}
	}
	return peers
}

func newReading(n int, stop context.CancelFunc) *reading {
	return &reading{want: int64(n), start: time.Now(), startCPU: cpuTime(), stop: stop}
}

func readOurs(ctx context.Context, p place, stream string, n int) (*reading, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	r := newReading(n, stop)
	app := bus.New(bus.Config{Servers: p.Servers, TopicPrefix: p.Prefix})
	handle := func(context.Context, []byte) error {
		r.note()
		return nil
	}
	if err := bus.Subscribe(app, stream, handle, bus.Group(p.Prefix+randomName())); err != nil {
		return nil, err
	}
	err := app.Run(running)
	return r, errors.Join(err, app.Close(ctx), r.incomplete())
}

func readFranz(ctx context.Context, p place, stream string, n int) (*reading, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	r := newReading(n, stop)
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.ConsumeTopics(p.Prefix+stream),
		kgo.ConsumerGroup(p.Prefix+randomName()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitInterval(time.Second))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	err = poll(running, client, func(*kgo.Record) { r.note() })
	return r, errors.Join(err, r.incomplete())
}

func (r *reading) incomplete() error {
	if seen := r.seen.Load(); seen < r.want {
		return fmt.Errorf("%d records were read, want %d", seen, r.want)
	}
	return nil
}

// poll hands every record to handle until ctx ends.
func poll(ctx context.Context, client *kgo.Client, handle func(*kgo.Record)) error {
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(handle)
	}
}
