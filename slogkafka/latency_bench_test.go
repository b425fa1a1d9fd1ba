package slogkafka

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// BenchmarkLatency prints how long a log call takes at 70,000 calls a second from 8 goroutines, in each state of the
// broker, and with a fallback that blocks, beside slog.JSONHandler to io.Discard. Run it with -benchtime=140000x for
// two seconds each, and with KAFKA=apache for a broker that is stopped by SIGSTOP.
func BenchmarkLatency(b *testing.B) {
	cluster := kafkatest.Start(b, kafkatest.Own())
	silent, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0") // it accepts, and never answers
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	blocked := make(chan struct{})
	defer close(blocked)
	blocks := callback(func() error { <-blocked; return nil })
	for _, c := range []struct {
		name, server string
		opts         []Option
	}{
		{"slog", "", nil},
		{"up", cluster.Servers()[0], nil},
		{"stopped", cluster.Servers()[0], nil},
		{"stopped, full", cluster.Servers()[0], []Option{QueueSize(1000, 0)}},
		{"refused", "127.0.0.1:1", nil},
		{"silent", silent.Addr().String(), nil},
		{"refused, full", "127.0.0.1:1", []Option{QueueSize(1000, 0)}},
		{"refused, full, fallback blocked", "127.0.0.1:1", []Option{QueueSize(1000, 0), Fallback(blocks)}},
		{"slog again", "", nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			stops := strings.HasPrefix(c.name, "stopped")
			if stops && !cluster.CanPause() {
				b.Skip("this Kafka cannot be stopped: run with KAFKA=apache")
			}
			var handler slog.Handler = slog.NewJSONHandler(nowhere{}, nil)
			if c.server != "" {
				app := bus.New(bus.Config{Servers: []string{c.server}, TopicPrefix: "latency.",
					Logger: slog.New(slog.DiscardHandler)})
				defer func() {
					ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
					defer cancel()
					_ = app.Close(ctx) // with a broker that is away it says what is left
				}()
				handler = NewHandler(app, "logs", append([]Option{Fallback(slog.DiscardHandler)}, c.opts...)...)
			}
			if stops {
				slog.New(handler).Info("connects")
				if err := handler.(*Handler).Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				cluster.Pause(0)
				defer cluster.Resume(0)
			}
			calls(b, slog.New(handler))
		})
	}
}

// nowhere takes what is written, as io.Discard does.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// calls makes b.N calls at their times, and reports how long they took.
func calls(b *testing.B, logger *slog.Logger) {
	const goroutines, perSecond = 8, 70_000
	taken := make([][]time.Duration, goroutines)
	begin := time.Now()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := 0; i < b.N/goroutines; {
				due := int(time.Since(begin).Seconds() * perSecond / goroutines)
				for ; i < min(due, b.N/goroutines); i++ {
					start := time.Now()
					logger.LogAttrs(context.Background(), slog.LevelInfo, "request served", slog.String("path", "/"),
						slog.Int("status", 200))
					taken[g] = append(taken[g], time.Since(start))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(taken...)
	if slices.Sort(all); len(all) == 0 {
		return
	}
	slow := 0
	for _, d := range all {
		if d > 10*time.Millisecond {
			slow++
		}
	}
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50-ns", .5}, {"p99-ns", .99}, {"p99.9-ns", .999}} {
		b.ReportMetric(float64(all[int(float64(len(all)-1)*p.at)]), p.name)
	}
	b.ReportMetric(float64(slow), "over-10ms")
}
