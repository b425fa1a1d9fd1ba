package slogkafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// A service logs to Kafka, and reads its record back.
func ExampleNewHandler() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// out of example scope, but there has to be a Kafka
	broker, err := devkafka.Start(devkafka.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = broker.Close() }()

	app := bus.New(bus.Config{Servers: broker.Addrs()})
	handler := slogkafka.NewHandler(app, "logs.web", slogkafka.Service("web"))
	logger := slog.New(handler)
	logger.Info("signed in", logrecord.Attr(UserLog{User: "ada"}), slog.Int("try", 2))
	if err := handler.Flush(ctx); err != nil {
		fmt.Println(err)
	}

	for r, err := range app.Tail(ctx, "logs.*", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			fmt.Println(err)
			break
		}
		record, err := logrecord.Decode(r.Value)
		fmt.Println(r.Stream, record.Severity, record.Service, record.Message, err)
		for _, f := range record.Fields {
			fmt.Printf("%s=%s\n", f.Name, f.Value)
		}
	}
	if err := app.Close(ctx); err != nil { // closes the handler too
		fmt.Println(err)
	}
	// Output:
	// logs.web INFO web signed in <nil>
	// user="ada"
	// try=2
}

// UserLog is a log model.
type UserLog struct {
	logrecord.Model
	User string `json:"user" jsonschema:"minLength=1"`
}

// A queue that may not lose records, and one place for those that are lost all the same.
func ExampleOverflow() {
	app := bus.New(bus.Config{}) // no Kafka is configured, so nothing can be delivered
	handler := slogkafka.NewHandler(app, "logs.audit",
		slogkafka.QueueSize(2, 0),
		slogkafka.Overflow(slogkafka.Block(10*time.Millisecond)),
		slogkafka.Fallback(slog.DiscardHandler), // such as slog.NewTextHandler(os.Stderr, nil)
	)
	logger := slog.New(handler)
	for range 3 {
		logger.Info("transferred", "amount", 7)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	var left *slogkafka.UndeliveredError
	if err := handler.Close(ctx); errors.As(err, &left) {
		fmt.Println("left:", left.Records, "in stream", left.Stream, errors.Is(err, bus.ErrNotConfigured))
	}
	stats := handler.Stats()
	fmt.Println("accepted:", stats.Accepted, "dropped:", stats.DroppedBy)
	// Output:
	// left: 2 in stream logs.audit true
	// accepted: 3 dropped: map[full:1 undelivered:2]
}

// The record that goes to Kafka, as a line of JSON, and without an envelope. It has no time here, so that the output is
// always the same.
func ExampleNewStreamHandler() {
	h := slogkafka.NewStreamHandler(os.Stdout,
		slogkafka.Logger("shop"), slogkafka.Hostname("web-1"), slogkafka.Service("web"), slogkafka.Namespace("prod"),
		slogkafka.Cluster("eu"))
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "signed in", 0)
	r.AddAttrs(logrecord.Attr(UserLog{User: "ada"}), slog.Group("request", "path", "/"))
	if err := h.Handle(context.Background(), r); err != nil {
		fmt.Println(err)
	}
	// Output: {"timestamp":null,"severity":"INFO","level":20,"message":"signed in","logger":"shop","hostname":"web-1","service":"web","namespace":"prod","cluster":"eu","user":"ada","request":{"path":"/"},"exception":null,"trace":null,"stack":null}
}

// Without a time, so that the output is always the same.
func ExampleText() {
	h := slogkafka.NewStreamHandler(os.Stdout, slogkafka.Text())
	r := slog.NewRecord(time.Time{}, slog.LevelWarn, "slow answer", 0)
	r.AddAttrs(logrecord.Attr(UserLog{User: "ada"}), slog.Group("request", "path", "/a b"))
	if err := h.Handle(context.Background(), r); err != nil {
		fmt.Println(err)
	}
	// Output: -            WARNING   slow answer  user=ada request.path="/a b"
}
