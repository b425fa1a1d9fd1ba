//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// rate publishes 5,000 records a second, each from a goroutine of its own that waits for the acknowledgement, and
// consumes them in the same process. The variant "async" of franz-go hands over callbacks instead, which has no
// goroutine for each record.
func rate() []comparison {
	return []comparison{{
		name: "rate",
		about: "5,000 records of 200 bytes a second end to end for 10 s, each published by its own goroutine, " +
			"7 partitions; franz-go without linger",
		setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, 7, "rate") },
		peers: map[string]measurement{
			ours:             rateOurs,
			franz:            func(ctx context.Context, p place) (figures, error) { return rateFranz(ctx, p, false) },
			franz + " async": func(ctx context.Context, p place) (figures, error) { return rateFranz(ctx, p, true) },
		},
	}}
}

const (
	ratePerSecond = 5_000
	rateSeconds   = 10
	rateRecords   = ratePerSecond * rateSeconds
)

// latencies are those from publish to handler. Its method handle may be called concurrently.
type latencies struct {
	seen  atomic.Int64
	taken [rateRecords]time.Duration
	all   chan struct{} // closed when all records were handled
}

// handle takes the latency of a record, whose value begins with when it was published. Records before the zeroth are of
// other runs.
func (l *latencies) handle(value []byte) {
	n := l.seen.Add(1)
	if n > rateRecords {
		return
	}
	l.taken[n-1] = time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(value))))
	if n == rateRecords {
		close(l.all)
	}
}

// send calls publish for the records at their times, waits until all of them are handled, and returns the figures.
func (l *latencies) send(ctx context.Context, publish func(value []byte)) (figures, error) {
	begin, cpu := time.Now(), cpuTime()
	for i := 0; i < rateRecords; {
		for due := int(time.Since(begin).Seconds() * ratePerSecond); i < min(due, rateRecords); i++ {
			value := make([]byte, 200)
			binary.BigEndian.PutUint64(value, uint64(time.Now().UnixNano()))
			publish(value)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
	select {
	case <-l.all:
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%d of %d records were handled in time", l.seen.Load(), rateRecords)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	used := (cpuTime() - cpu).Seconds() / time.Since(begin).Seconds()
	slices.Sort(l.taken[:])
	return figures{
		{"CPU % of a core", 100 * used},
		{"p50 ms", l.taken[rateRecords/2].Seconds() * 1e3},
		{"p99 ms", l.taken[rateRecords*99/100].Seconds() * 1e3},
	}, nil
}

func rateOurs(ctx context.Context, p place) (figures, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	l := &latencies{all: make(chan struct{})}
	started := make(chan struct{})
	var once sync.Once
	app := bus.New(bus.Config{
		Servers: p.Servers, TopicPrefix: p.Prefix, Settings: bus.Settings{"auto_offset_reset": "latest"},
	})
	err := bus.Subscribe(app, "rate", func(_ context.Context, value []byte) error {
		if len(value) == 0 {
			once.Do(func() { close(started) })
			return nil
		}
		l.handle(value)
		return nil
	}, bus.Group(p.Prefix+randomName()))
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(running) }()
	if err := untilConsumed(ctx, started, func() error { return app.PublishRaw(ctx, "rate", nil) }); err != nil {
		return nil, err
	}
	var publishing sync.WaitGroup
	var failed atomic.Pointer[error]
	f, err := l.send(ctx, func(value []byte) {
		publishing.Go(func() {
			if err := app.PublishRaw(ctx, "rate", value); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	})
	publishing.Wait()
	if first := failed.Load(); first != nil {
		err = errors.Join(err, *first)
	}
	stop()
	return f, errors.Join(err, <-ended, app.Close(ctx))
}

func rateFranz(ctx context.Context, p place, async bool) (figures, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	l := &latencies{all: make(chan struct{})}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.DefaultProduceTopic(p.Prefix+"rate"),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(250_000),
		kgo.ConsumeTopics(p.Prefix+"rate"), kgo.ConsumerGroup(p.Prefix+randomName()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.AutoCommitInterval(time.Second))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	started := make(chan struct{})
	var once sync.Once
	ended := make(chan error, 1)
	go func() {
		ended <- poll(running, client, func(r *kgo.Record) {
			if len(r.Value) == 0 {
				once.Do(func() { close(started) })
				return
			}
			l.handle(r.Value)
		})
	}()
	publish := func(value []byte) error { return client.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr() }
	if err := untilConsumed(ctx, started, func() error { return publish(nil) }); err != nil {
		return nil, err
	}
	var publishing sync.WaitGroup
	var failed atomic.Pointer[error]
	fail := func(err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	f, err := l.send(ctx, func(value []byte) {
		if async {
			client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { fail(err) })
			return
		}
		publishing.Go(func() { fail(publish(value)) })
	})
	publishing.Wait()
	if first := failed.Load(); first != nil {
		err = errors.Join(err, *first)
	}
	stop()
	return f, errors.Join(err, <-ended)
}

// untilConsumed publishes a record now and then until one has come, and then lets the rest of the start pass by.
func untilConsumed(ctx context.Context, started <-chan struct{}, publish func() error) error {
	for {
		if err := publish(); err != nil {
			return err
		}
		select {
		case <-started:
			return pause(ctx, 3*time.Second)
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
