package fetch

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Whatever is paused and resumed, and when: what was fetched of a partition comes in the order of its offsets.
func TestPausingKeepsTheOrder(t *testing.T) {
	t.Parallel()
	client, err := kafka.NewClient([]string{"127.0.0.1:1"}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := New(client, Options{})
	defer f.Close()
	tp := kafka.TopicPartition{Topic: "topic"}
	f.Add(tp, 0)
	f.mu.Lock()
	p := f.partitions[tp]
	f.mu.Unlock()

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var others sync.WaitGroup
	others.Go(func() {
		for ctx.Err() == nil {
			f.Pause(tp)
			f.Resume(tp)
		}
	})
	const ahead = 8 // segments that are there at once
	pushed, last := int64(0), int64(0)
	for ctx.Err() == nil {
		for ; pushed < last+ahead; pushed++ {
			f.mu.Lock()
			f.pushLocked(&segment{part: p, from: pushed, next: pushed + 1, highWatermark: -1})
			f.mu.Unlock()
		}
		chunk, err := f.Next(ctx)
		if err != nil {
			break
		}
		if chunk.Next != last+1 {
			t.Fatalf("offset %d comes after %d", chunk.Next-1, last-1)
		}
		last = chunk.Next
	}
	others.Wait()
	if last == 0 {
		t.Error("nothing came")
	}
}
