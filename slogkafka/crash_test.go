package slogkafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// Half of the records are keyed. With Block nothing is dropped, so that all has to be there, once, and each key's
// records in order. The embedded broker keeps to it as well; the real one is what counts.
func TestKillingTheBrokerThreeTimesWhileLogging(t *testing.T) {
	const records, keys, kills = 200_000, 100, 3
	cluster := kafkatest.Start(t, kafkatest.Own())
	if !cluster.CanKill() {
		t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
	ctx := within(t, 5*time.Minute)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: slog.New(slog.DiscardHandler)})
	h := slogkafka.NewHandler(app, "logs",
		slogkafka.Overflow(slogkafka.Block(time.Minute)), slogkafka.Fallback(slog.DiscardHandler),
		slogkafka.Key(func(_ context.Context, r slog.Record) []byte {
			if r.Message == "" {
				return nil
			}
			return []byte(r.Message)
		}))

	begin := time.Now()
	due, logged := make(chan struct{}, kills), make(chan struct{})
	go func() {
		defer close(logged)
		logger := slog.New(h)
		next := make([]int, keys)
		for i := range records {
			if i > 0 && i%(records/(kills+1)) == 0 {
				due <- struct{}{}
			}
			if i%2 == 1 {
				logger.Info("", "id", i, "n", 0)
				continue
			}
			k := i / 2 % keys
			logger.Info(fmt.Sprint("key-", k), "id", i, "n", next[k])
			next[k]++
		}
	}()
	for range kills {
		<-due
		cluster.Kill(0) // with thousands of records on their way
		cluster.Restart(0)
	}
	<-logged
	if err := h.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if s := h.Stats(); s.Accepted != records || s.Delivered != records {
		t.Errorf("the counts are %+v", s)
	}

	reader := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	defer func() {
		if err := reader.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	seen, latest := make([]bool, records), make(map[string]int)
	read, repeated, disordered := 0, 0, 0
	for r, err := range reader.Tail(ctx, "logs", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatal(err)
		}
		record, err := logrecord.Decode(r.Value)
		if err != nil || len(record.Fields) != 2 {
			t.Fatalf("%v: %s", err, r.Value)
		}
		id, _ := strconv.Atoi(string(record.Fields[0].Value))
		n, _ := strconv.Atoi(string(record.Fields[1].Value))
		read++
		if seen[id] {
			repeated++
			continue
		}
		seen[id] = true
		if record.Message != "" {
			if latest[record.Message] != n {
				disordered++
			}
			latest[record.Message] = n + 1
		}
	}
	lost := 0
	for _, there := range seen {
		if !there {
			lost++
		}
	}
	t.Attr("figures", fmt.Sprintf("%d logged, %d kills, %v (%.0f records/s): read back %d, lost %d, repeated %d, out of "+
		"order %d",
		records, kills, took.Round(time.Millisecond), records/took.Seconds(), read, lost, repeated, disordered))
	if lost+repeated+disordered > 0 {
		t.Fail()
	}
}
