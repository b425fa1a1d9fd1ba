//go:build unix

package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// memory looks at a process that reads big records faster than its handlers take them. "Stats" is the most that the
// library says it holds; franz-go does not say.
func memory() []comparison {
	return []comparison{{
		name:  "memory",
		about: "64 partitions with 10 records of 900 kB each, handlers of 1 s, for 12 s",
		setup: func(ctx context.Context, p place) error {
			if err := makeTopics(ctx, p, 64, "memory"); err != nil {
				return err
			}
			return fill(ctx, p, "memory", batch{records: 640, size: 900_000, partition: evenly(64)})
		},
		peers: map[string]measurement{ours: memoryOurs, franz: memoryFranz},
	}}
}

const memoryWindow = 12 * time.Second

func memoryOurs(ctx context.Context, p place) (figures, error) {
	running, stop := context.WithTimeout(ctx, memoryWindow)
	defer stop()
	app := bus.New(bus.Config{Servers: p.Servers, TopicPrefix: p.Prefix})
	var handled atomic.Int64
	handle := func(ctx context.Context, _ []byte) error {
		handled.Add(1)
		return pause(ctx, time.Second)
	}
	if err := bus.Subscribe(app, "memory", handle, bus.Group(p.Prefix+randomName())); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(running) }()
	var most int64
	for pause(running, 10*time.Millisecond) == nil {
		most = max(most, app.Stats().Subscriptions[0].Bytes)
	}
	peak := peakRSS()
	err := errors.Join(<-ended, app.Close(ctx))
	return memoryFigures(peak, most, handled.Load()), err
}

func memoryFranz(ctx context.Context, p place) (figures, error) {
	running, stop := context.WithTimeout(ctx, memoryWindow)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.ConsumeTopics(p.Prefix+"memory"),
		kgo.ConsumerGroup(p.Prefix+randomName()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var handled atomic.Int64
	for running.Err() == nil {
		var handling sync.WaitGroup
		fetches := client.PollFetches(running)
		fetches.EachPartition(func(t kgo.FetchTopicPartition) {
			handling.Go(func() {
				for range t.Records {
					handled.Add(1)
					_ = pause(running, time.Second) // an end of the window ends all of them
				}
			})
		})
		handling.Wait()
	}
	return memoryFigures(peakRSS(), 0, handled.Load()), nil
}

func memoryFigures(peak float64, stats, handled int64) figures {
	f := figures{
		{"peak RSS MB", peak}, {"Stats MB", float64(stats) / 1e6}, {"RSS/Stats", 0}, {"handled", float64(handled)},
	}
	if stats > 0 {
		f[2].Value = peak * 1e6 / float64(stats)
	}
	return f
}
