package slogkafka_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// The App's PublishTimeout is for those who publish: a log record waits for its broker as long as it takes.
func TestPublishTimeoutIsNotForLogRecords(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t), PublishTimeout: time.Millisecond})
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	fault := cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	h := slogkafka.NewHandler(app, "logs", slogkafka.Fallback(slog.DiscardHandler))
	slog.New(h).Info("patient")
	testkit.Until(t, "the broker has refused the record several times", func() bool {
		return app.Stats().Producer.Retries > 2
	})
	fault.Remove()
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Delivered != 1 || s.Dropped != 0 {
		t.Errorf("delivered %d, dropped %v", s.Delivered, s.DroppedBy)
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
}
