package slogkafka_test

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

const exitVariable = "SLOGKAFKA_EXIT"

// endProgram is a program that logs one record and ends in one of the ways that lose what is queued.
func endProgram(way, server, prefix string) {
	app := bus.New(bus.Config{Servers: []string{server}, TopicPrefix: prefix})
	opts := []slogkafka.Option{slogkafka.Linger(time.Hour)}
	if way == "fatal" {
		opts = append(opts, slogkafka.FlushOn(slog.LevelError, 20*time.Second))
	}
	h := slogkafka.NewHandler(app, "logs", opts...)
	slog.SetDefault(slog.New(h))
	switch way {
	case "exit":
		slog.Error("last words")
		h.Exit(3, 20*time.Second)
	case "panic":
		defer h.FlushOnPanic(20 * time.Second)
		slog.Error("last words")
		panic("the end")
	case "fatal":
		slog.SetLogLoggerLevel(slog.LevelError)
		log.Fatal("last words")
	}
}

// What is queued when a process ends itself is delivered, and the process ends as it would have.
func TestLastWords(t *testing.T) {
	t.Parallel()
	if os.Getenv(exitVariable) != "" {
		way, rest, _ := strings.Cut(os.Getenv(exitVariable), " ")
		server, prefix, _ := strings.Cut(rest, " ")
		endProgram(way, server, prefix)
		return
	}
	cluster := kafkatest.Start(t)
	for _, way := range []string{"exit", "panic", "fatal"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			prefix := cluster.Prefix(t)
			cmd := testkit.Command(within(t, 60*time.Second), t, "-test.run=^TestLastWords$")
			cmd.Env = append(os.Environ(), exitVariable+"="+way+" "+cluster.Servers()[0]+" "+prefix)
			out, err := cmd.CombinedOutput()
			code := cmd.ProcessState.ExitCode()
			if want := map[string]int{"exit": 3, "panic": 2, "fatal": 1}[way]; code != want {
				t.Errorf("the process ended with %d, %v, want %d: %s", code, err, want, out)
			}
			app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
			defer func() { _ = app.Close(within(t, 20*time.Second)) }()
			all := tail(t, app, "logs")
			if len(all) != 1 || !strings.Contains(string(all[0].Value), "last words") {
				t.Errorf("the stream has %d records", len(all))
			}
		})
	}
}

// What hooks log is delivered, whichever was added first and whether they succeed: the first record starts the worker,
// which has the hooks called beside it.
func TestWhatHooksLogIsDelivered(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	var logger *slog.Logger
	app.OnInitialize(func(ctx context.Context) error { logger.InfoContext(ctx, "before"); return nil })
	app.OnFinalize(func(ctx context.Context) error { logger.InfoContext(ctx, "finalize"); return nil })
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(2, 0), slogkafka.Overflow(slogkafka.Block(time.Minute)))
	logger = slog.New(h)
	initialized := make(chan struct{})
	app.OnInitialize(func(ctx context.Context) error {
		defer close(initialized)
		for range 5 {
			logger.InfoContext(ctx, "after")
		}
		return nil
	})
	logger.Info("starting")
	<-initialized
	if err := app.Close(within(t, 30*time.Second)); err != nil {
		t.Error(err)
	}
	if s := h.Stats(); s.Delivered != 8 || s.Dropped != 0 {
		t.Errorf("the counts are %+v", s)
	}
}

// What an OnInitialize that fails logs is delivered, too, and the errors of Flush and Close name the broker.
func TestErrorsOfAnApp(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	h := slogkafka.NewHandler(app, "logs", slogkafka.Fallback(slog.DiscardHandler))
	// The handler's worker, which the first record starts, calls the function again; Close may cut that call off.
	var calls atomic.Int64
	app.OnInitialize(func(ctx context.Context) error {
		calls.Add(1)
		slog.New(h).ErrorContext(ctx, "no database")
		return errors.New("no database")
	})
	if err := app.Initialize(within(t, 20*time.Second)); err == nil {
		t.Error("Initialize says nothing of its function")
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	s := h.Stats()
	if s.Delivered == 0 || s.Delivered+s.DroppedBy[slogkafka.DroppedClosed] != uint64(calls.Load()) {
		t.Errorf("after %d calls the counts are %+v", calls.Load(), s)
	}

	away := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	h = slogkafka.NewHandler(away, "logs", slogkafka.Fallback(slog.DiscardHandler))
	slog.New(h).Info("m")
	err := h.Flush(within(t, 500*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Flush returned %v", err)
	}
	if err := away.Close(within(t, 500*time.Millisecond)); err == nil ||
		!strings.Contains(err.Error(), "127.0.0.1:1: connect: connection refused") {
		t.Errorf("Close returned %v", err)
	}
}

// Retention, partitions and the codec of a log stream are those of its topic.
func TestTheTopicOfALogStream(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	h := slogkafka.NewHandler(app, "logs", slogkafka.Retention(time.Hour), slogkafka.Partitions(3))
	for range 20 {
		slog.New(h).Info("the same text again and again")
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...), kgo.ConsumeTopics(prefix+"logs"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := within(t, 20*time.Second)
	meta := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(prefix + "logs")
	meta.Topics = append(meta.Topics, topic)
	found, err := meta.RequestWith(ctx, client)
	if err != nil || len(found.Topics) != 1 || len(found.Topics[0].Partitions) != 3 {
		t.Errorf("%v: the topic is %+v, want 3 partitions", err, found)
	}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, prefix+"logs",
		[]string{"retention.ms"}
	describe.Resources = append(describe.Resources, resource)
	configs, err := describe.RequestWith(ctx, client)
	if err != nil || len(configs.Resources[0].Configs) != 1 || *configs.Resources[0].Configs[0].Value != "3600000" {
		t.Errorf("%v: the configs are %+v", err, configs)
	}
	const snappy = 2
	client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		if codec := r.Attrs.CompressionType(); codec != snappy {
			t.Errorf("a record is compressed by codec %d", codec)
		}
	})
}
