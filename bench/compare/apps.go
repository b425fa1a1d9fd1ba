//go:build unix

package main

import (
	"context"
	"errors"
	"runtime"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// apps opens and closes clients, as tests do, and programs that have one for each job. What stays on the heap
// afterwards is garbage that something still holds.
func apps() []comparison {
	return []comparison{{
		name:  "apps",
		about: "200 times open, publish, handle that record, close, beside 150 topics of 7 partitions",
		setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, 7, manyTopics(150)...) },
		peers: map[string]measurement{
			ours:  func(ctx context.Context, p place) (figures, error) { return openAndClose(ctx, p, appOurs) },
			franz: func(ctx context.Context, p place) (figures, error) { return openAndClose(ctx, p, appFranz) },
		},
	}}
}

func openAndClose(ctx context.Context, p place, cycle func(context.Context, place) error) (figures, error) {
	const cycles = 200
	for range cycles {
		if err := cycle(ctx, p); err != nil {
			return nil, err
		}
	}
	runtime.GC()
	runtime.GC() // what had a finalizer is free after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{{"live heap MB", float64(m.HeapAlloc) / 1e6}, {"goroutines", float64(runtime.NumGoroutine())}}, nil
}

func appOurs(ctx context.Context, p place) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	app := bus.New(bus.Config{Servers: p.Servers, TopicPrefix: p.Prefix})
	handle := func(context.Context, []byte) error {
		stop()
		return nil
	}
	if err := bus.Subscribe(app, "topic-000", handle, bus.Group(p.Prefix+randomName())); err != nil {
		return err
	}
	if err := app.PublishRaw(ctx, "topic-000", []byte("a record")); err != nil {
		return err
	}
	return errors.Join(app.Run(running), app.Close(ctx))
}

func appFranz(ctx context.Context, p place) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.ConsumeTopics(p.Prefix+"topic-000"),
		kgo.ConsumerGroup(p.Prefix+randomName()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	record := &kgo.Record{Topic: p.Prefix + "topic-000", Value: []byte("a record")}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return err
	}
	return poll(running, client, func(*kgo.Record) { stop() })
}
