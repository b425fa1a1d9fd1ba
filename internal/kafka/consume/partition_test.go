package consume

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

func TestItemsWaitForTheirTime(t *testing.T) {
	t.Parallel()
	var handled atomic.Int64
	c := idle(t, options(func(_ context.Context, i *wire.Record) bool {
		if time.Now().Before(i.Time) {
			t.Errorf("%d is handled before its time", i.Offset)
		}
		return handled.Add(1) > 0
	}))
	_, p := assign(c, "delayed")
	p.enqueue(chunk("delayed", 0, 3, time.Now().Add(-time.Hour)))
	p.enqueue(chunk("delayed", 3, 5, time.Now().Add(300*time.Millisecond)))
	p.enqueue(chunk("delayed", 5, 7, time.Now().Add(-time.Hour))) // due, but behind those that are not
	eventually(t, func() bool { return handled.Load() == 3 })
	s := c.Status()
	if p := s.Partitions[0]; !p.Paused || p.Watermark != 3 || p.Held != 4 || p.Running != 0 || p.Position != 7 ||
		p.Oldest.Offset != 3 {
		t.Errorf("while they wait: %+v", p)
	}
	eventually(t, func() bool { return handled.Load() == 7 })
	eventually(t, func() bool { return c.Marks()[p.tp] == 7 })
	if p := c.Status().Partitions[0]; p.Paused || p.Held != 0 {
		t.Errorf("afterwards: %+v", p)
	}
}

// What nobody can read is passed over. What has been read before it, and waits for its time, is not.
func TestABrokenBatchPassesNothingElse(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"topic", "delayed"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			c := idle(t, options(func(_ context.Context, i *wire.Record) bool {
				<-release
				return true
			}))
			g, p := assign(c, topic)
			p.enqueue(chunk(topic, 0, 5, time.Now().Add(500*time.Millisecond)))
			g.handleReadError(&fetch.PartitionError{Topic: topic, Offset: 5, Next: 10, Err: errors.New("broken")})
			if mark := c.Marks()[p.tp]; mark != 0 {
				t.Errorf("marked %d, and nothing is finished", mark)
			}
			if s := c.Status(); s.Corrupt != 1 || s.LastError == nil || s.Partitions[0].Position != 10 ||
				s.Partitions[0].Held != 5 {
				t.Errorf("status %+v", s)
			}
			close(release)
			eventually(t, func() bool { return c.Marks()[p.tp] == 10 })
		})
	}
}

// With auto_offset_reset none, an offset that the broker no longer has ends the Consumer.
func TestAnOffsetThatIsGoneEndsTheConsumer(t *testing.T) {
	t.Parallel()
	c := idle(t, options(func(context.Context, *wire.Record) bool { return true }))
	c.cfg.AutoOffsetReset = kafka.NoReset
	g, _ := assign(c, "topic")
	g.handleReadError(&fetch.PartitionError{Topic: "topic", Offset: 5, Next: -1, Err: fetch.ErrOutOfRange})
	if !isDone(c.stopping) || !errors.Is(c.failure, fetch.ErrOutOfRange) {
		t.Errorf("failure %v", c.failure)
	}
}

// Counting never tells of an item that it is finished before it is.
func TestNothingIsCountedBeforeItIsFinished(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"topic", "delayed"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			c := idle(t, options(func(context.Context, *wire.Record) bool { <-release; return true }))
			_, p := assign(c, topic)
			const chunks, size = 300, 10
			fed := make(chan struct{})
			go func() {
				defer close(fed)
				for i := range int64(chunks) {
					p.enqueue(chunk(topic, i*size, (i+1)*size, time.Time{}))
				}
			}()
			for !isDone(fed) {
				if n := c.Status().Handled; n != 0 {
					t.Fatalf("%d are said to be finished", n)
				}
			}
			close(release)
			eventually(t, func() bool { return c.Status().Handled == chunks*size })
			c.Drain(t.Context())
			if n := c.Status().Handled; n != chunks*size {
				t.Errorf("%d are finished after the drain", n)
			}
		})
	}
}

// A drain drops what waits, here and for its time, and neither counts nor marks it.
func TestADrainLeavesWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"topic", "delayed"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{}, 10)
			c := idle(t, options(func(ctx context.Context, _ *wire.Record) bool {
				begun <- struct{}{}
				<-ctx.Done()
				return true
			}))
			_, p := assign(c, topic)
			p.enqueue(chunk(topic, 0, 2, time.Now().Add(-time.Hour)))
			p.enqueue(chunk(topic, 2, 4, time.Now().Add(time.Hour)))
			<-begun
			over, cancel := context.WithCancel(t.Context())
			cancel()
			c.Drain(over)
			if mark, s := c.Marks()[p.tp], c.Status(); mark != 1 || s.Handled != 1 || len(s.Partitions) != 0 || len(begun) != 0 {
				t.Errorf("marked %d, %d begun, status %+v", mark, len(begun), s)
			}
		})
	}
}

func TestWhereManualCommitsMayGo(t *testing.T) {
	t.Parallel()
	o := options(func(context.Context, *wire.Record) bool { return true })
	o.Manual = true
	c := idle(t, o)
	_, p := assign(c, "topic")
	p.enqueue(chunk("topic", 0, 5, time.Time{}))
	eventually(t, func() bool { return c.Status().Handled == 5 })
	if marks := c.Marks(); len(marks) > 0 {
		t.Errorf("marks %v, and nobody has asked for a commit", marks)
	}
	p.allow(3)
	p.allow(2)
	if mark := c.Marks()[p.tp]; mark != 3 {
		t.Errorf("marked %d", mark)
	}
	p.allow(9)
	if mark := c.Marks()[p.tp]; mark != 5 {
		t.Errorf("marked %d, which is more than what is finished", mark)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var p progress
	tp := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	steps := []struct {
		offset  int64
		running bool
		after   time.Duration
		tell    bool
	}{
		{5, true, 0, false},
		{5, true, 59 * time.Second, false},
		{5, true, time.Second, true},
		{5, true, 59 * time.Second, false},
		{5, true, time.Second, true}, // two minutes
		{5, true, time.Minute, false},
		{5, true, time.Minute, true}, // four
		{6, true, time.Minute, false},
		{6, true, 59 * time.Second, false},
		{6, false, time.Second, false}, // nothing runs
		{6, true, time.Hour, true},
	}
	for i, s := range steps {
		tp = tp.Add(s.after)
		var isDue bool
		if p, isDue = p.after(s.offset, s.running, tp); isDue != s.tell {
			t.Errorf("step %d: tells %v, want %v", i, isDue, s.tell)
		}
	}
}

func TestNoOffsetErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	got := (&NoOffsetError{Group: "g", Topic: "t", Partition: 3}).Error()
	if want := `consume: group "g" has no committed offset for t/3, and auto_offset_reset is none: commit one, or set ` +
		`auto_offset_reset to earliest or latest`; got != want {
		t.Errorf("got %s", got)
	}
}

// Records that were deleted before they were read are one line, with from where to where.
func TestDeletedRecordsAreLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := options(func(context.Context, *wire.Record) bool { return true })
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	c := idle(t, o)
	g, p := assign(c, "topic")
	g.halt()
	g.wg.Wait() // the test is the dispatcher
	p.enqueue(chunk("topic", 0, 10, time.Now()))
	g.handleReadError(&fetch.PartitionError{Topic: "topic", Offset: 10, Next: -1, Err: fetch.ErrOutOfRange})
	p.enqueue(chunk("topic", 290, 300, time.Now()))
	p.enqueue(chunk("topic", 300, 310, time.Now()))
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "topic=topic partition=0 "+
		"from=10 to=290") {
		t.Errorf("logged %s", out.String())
	}
}
