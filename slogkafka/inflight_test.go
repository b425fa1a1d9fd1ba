package slogkafka_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// A round trip does not limit the delivery: several requests are on their way to a broker at one time, and soon a
// batch of every partition is, although no answer comes but those that make room for the next request.
func TestEveryPartitionHasABatchOnItsWay(t *testing.T) {
	t.Parallel()
	const partitions, requests = 7, 4
	cluster := kafkatest.Start(t, kafkatest.Own(), kafkatest.Kfake())
	app := bus.New(bus.Config{
		Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), Logger: slog.New(slog.DiscardHandler),
		Settings: bus.Settings{"compression_type": "none", "max_batch_size": 16 << 10},
	})
	h := slogkafka.NewHandler(app, "logs", slogkafka.Partitions(partitions), slogkafka.Fallback(slog.DiscardHandler))
	held := heldRequests{fake: cluster.Fake(), most: requests, want: partitions, all: make(chan struct{})}
	held.fake.ControlKey(int16(kmsg.Produce), held.hold)
	logger, text := slog.New(h), strings.Repeat("x", 200)
	for range 10_000 {
		logger.Info("m", "text", text)
	}
	select {
	case <-held.all:
	case <-time.After(20 * time.Second):
		t.Errorf("batches of %d partitions were on their way at one time, want %d", held.seen(), partitions)
	}
	held.end()
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	if s := h.Stats(); s.Delivered != 10_000 {
		t.Errorf("the counts are %+v", s)
	}
}

// heldRequests answers a request to write records only when there are as many as the broker gets at one time.
type heldRequests struct {
	fake       *kfake.Cluster
	most, want int
	all        chan struct{} // closed when as many partitions as are wanted had a batch on its way at one time

	mu      sync.Mutex
	waiting []heldRequest // the oldest first
	largest int           // how many partitions they had together
	over    bool
}

type heldRequest struct {
	partitions int
	answer     chan struct{}
}

func (h *heldRequests) hold(request kmsg.Request) (kmsg.Response, error, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil, nil, false
	}
	r := heldRequest{answer: make(chan struct{})}
	for _, topic := range request.(*kmsg.ProduceRequest).Topics {
		r.partitions += len(topic.Partitions)
	}
	h.waiting = append(h.waiting, r)
	partitions := 0
	for _, w := range h.waiting {
		partitions += w.partitions // each has one batch on its way at most
	}
	switch h.largest = max(h.largest, partitions); {
	case partitions == h.want:
		close(h.all)
		h.endLocked()
		return nil, nil, false
	case len(h.waiting) == h.most:
		close(h.waiting[0].answer)
		h.waiting = h.waiting[1:]
	}
	h.fake.KeepControl()
	h.fake.SleepControl(func() { <-r.answer })
	return nil, nil, false
}

func (h *heldRequests) seen() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.largest
}

// end answers all, those that come later too.
func (h *heldRequests) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endLocked()
}

func (h *heldRequests) endLocked() {
	h.over = true
	for _, w := range h.waiting {
		close(w.answer)
	}
	h.waiting = nil
}
