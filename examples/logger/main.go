// Logger logs through log/slog to Kafka, and reads its records back:
//
//	go run ./examples/logger
//
// It needs only Go: without KAFKAESK_KAFKA_SERVERS=host:port in the environment, it runs a small Kafka of its own.
// With a permanent Kafka, follow the records with: logtail 'logs.*'
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	slogmulti "github.com/samber/slog-multi"
	"golang.org/x/term"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// OrderLog is a log model: a struct that embeds logrecord.Model. Its fields become fields of the log record. The
// constraints in the jsonschema tags are checked; a field that violates them is moved to the record's field
// "invalid".
type OrderLog struct {
	logrecord.Model
	Order  string `json:"order" jsonschema:"minLength=1"`
	Amount int    `json:"amount" jsonschema:"minimum=1"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "logger:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	// The bus waits for an unreachable Kafka until the context ends, so set a deadline.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	servers := strings.Split(os.Getenv("KAFKAESK_KAFKA_SERVERS"), ",")
	if servers[0] == "" {
		own, end, err := bustest.StartKafka()
		if err != nil {
			return err
		}
		defer func() { _ = end() }()
		servers = own
	}

	// An App is a program's connection to the bus. It connects when it is first used. Close delivers the buffered
	// records.
	app := bus.New(bus.Config{Servers: servers})
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, app.Close(ctx))
	}()

	// Records go to standard error as lines, and to the stream logs.example. For the second, the log call only
	// encodes the record; a worker sends records in batches, and creates a missing stream.
	var local []slogkafka.StreamOption
	if term.IsTerminal(int(os.Stderr.Fd())) {
		local = append(local, slogkafka.Text()) // for people; without it the lines are JSON
	}
	shipped := slogkafka.NewHandler(app, "logs.example")
	logger := slog.New(slogmulti.Fanout(slogkafka.NewStreamHandler(os.Stderr, local...), shipped))

	started := time.Now()
	work(logger)

	// Flush returns when Kafka has all records that were logged before it.
	if err := shipped.Flush(ctx); err != nil {
		return err
	}
	return readBack(ctx, app, started)
}

// work shows the forms of a log call.
func work(logger *slog.Logger) {
	logger = logger.With("shop", "north") // in every further record
	logger.Info("shop opens", "doors", 2)
	logger.Info("order placed", logrecord.Attr(OrderLog{Order: "A-17", Amount: 3}))
	logger.Warn("stock is low", slog.Group("item", "id", 42, "left", 1)) // a group is an object in the record
	// An error as an attribute also sets the record's fields exception and stack.
	logger.Error("payment failed", slog.Any("err", fmt.Errorf("charge the card: %w", io.ErrUnexpectedEOF)),
		logrecord.Attr(OrderLog{Order: "A-17", Amount: 3}))
}

// readBack prints the records of the log streams since a time, oldest first.
func readBack(ctx context.Context, app *bus.App, since time.Time) error {
	var records []logrecord.Record
	// Tail reads every stream that matches, without a consumer group. Without StopAtEnd it would follow new records.
	for r, err := range app.Tail(ctx, "logs.*", bus.FromTime(since), bus.StopAtEnd()) {
		if err != nil {
			return err
		}
		record, err := logrecord.Decode(r.Value)
		if err != nil {
			return fmt.Errorf("%s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		records = append(records, record)
	}
	// A stream has several partitions. Records of different partitions have no order.
	slices.SortStableFunc(records, func(a, b logrecord.Record) int {
		return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano())
	})

	fmt.Printf("%d records read back from Kafka:\n", len(records))
	for _, r := range records {
		fmt.Printf("%s  %-8s %s\n", r.Time.Local().Format("15:04:05.000"), r.Severity, r.Message)
		for _, f := range r.Fields {
			fmt.Printf("    %-6s  %s\n", f.Name, f.Plain())
		}
	}
	return nil
}
