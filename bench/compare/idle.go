//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// idle shows what a consumer costs that gets no records: once beside many topics of others, once with many partitions
// of its own.
func idle() []comparison {
	const others = 250
	wide := idleShape{groups: [][]string{{"wide"}}, assigned: 1000}
	five := idleShape{
		groups:   [][]string{{"topic-001"}, {"topic-002"}, {"topic-003", "topic-004"}, {"topic-00*"}, {"topic-01*"}},
		assigned: 7 * (1 + 1 + 2 + 10 + 10),
	}
	return []comparison{{
		name:  "idle/five",
		about: "5 idle subscriptions, 3 by name and 2 by pattern, beside 250 topics of 7 partitions",
		setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, 7, manyTopics(others)...) },
		peers: five.peers(),
	}, {
		name:  "idle/wide",
		about: "one idle subscription of 1,000 partitions",
		setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, 1000, "wide") },
		peers: wide.peers(),
	}}
}

func manyTopics(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("topic-%03d", i)
	}
	return names
}

// idleShape is what a program subscribes to.
type idleShape struct {
	groups   [][]string // the patterns of each subscription
	assigned int        // partitions that they have together
}

func (s idleShape) peers() map[string]measurement {
	return map[string]measurement{ours: s.measureOurs, franz: s.measureFranz}
}

func (s idleShape) measureOurs(ctx context.Context, p place) (figures, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	app := bus.New(bus.Config{Servers: p.Servers, TopicPrefix: p.Prefix})
	for _, patterns := range s.groups {
		handle := func(context.Context, []byte) error { return nil }
		err := bus.Subscribe(app, patterns[0], handle, bus.Patterns(patterns[1:]...), bus.Group(p.Prefix+randomName()))
		if err != nil {
			return nil, err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(running) }()
	f, err := s.watch(ctx, func() int {
		n := 0
		for _, sub := range app.Stats().Subscriptions {
			n += len(sub.Assigned)
		}
		return n
	})
	stop()
	return f, errors.Join(err, <-ended, app.Close(ctx))
}

func (s idleShape) measureFranz(ctx context.Context, p place) (figures, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var polling sync.WaitGroup
	defer polling.Wait()
	defer stop()
	var mu sync.Mutex
	assigned := 0
	count := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			for _, list := range partitions {
				assigned += sign * len(list)
			}
		}
	}
	for _, patterns := range s.groups {
		client, err := kgo.NewClient(append(franzTopics(p, patterns), kgo.SeedBrokers(p.Servers...),
			kgo.ConsumerGroup(p.Prefix+randomName()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.OnPartitionsAssigned(count(1)), kgo.OnPartitionsRevoked(count(-1)))...)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		polling.Go(func() { _ = poll(running, client, func(*kgo.Record) {}) })
	}
	return s.watch(ctx, func() int {
		mu.Lock()
		defer mu.Unlock()
		return assigned
	})
}

// franzTopics subscribes to names, and to patterns as regular expressions.
func franzTopics(p place, patterns []string) []kgo.Opt {
	var topics []string
	expressions := false
	for _, pattern := range patterns {
		name := p.Prefix + pattern
		if base, ok := cutStar(pattern); ok {
			name, expressions = "^"+regexp.QuoteMeta(p.Prefix+base)+".*$", true
		}
		topics = append(topics, name)
	}
	opts := []kgo.Opt{kgo.ConsumeTopics(topics...)}
	if expressions {
		opts = append(opts, kgo.ConsumeRegex())
	}
	return opts
}

func cutStar(pattern string) (string, bool) {
	n := len(pattern) - 1
	return pattern[:n], pattern[n] == '*'
}

// watch waits until all partitions are assigned, lets the start pass by, and then looks at the process for a while.
func (s idleShape) watch(ctx context.Context, assigned func() int) (figures, error) {
	deadline := time.Now().Add(time.Minute)
	for assigned() != s.assigned {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d partitions are assigned after a minute, want %d", assigned(), s.assigned)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	const window = 30 * time.Second
	runtime.GC()
	begin, cpu := time.Now(), cpuTime()
	in, out := ioBytes()
	if err := pause(ctx, window); err != nil {
		return nil, err
	}
	seconds := time.Since(begin).Seconds()
	used := (cpuTime() - cpu).Seconds()
	inNow, outNow := ioBytes()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return figures{
		{"CPU % of a core", 100 * used / seconds},
		{"in kB/s", (inNow - in) / seconds / 1e3},
		{"out kB/s", (outNow - out) / seconds / 1e3},
		{"live heap MB", float64(m.HeapAlloc) / 1e6},
	}, nil
}

// pause waits for that long.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
