package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A record keeps its kafkaesk-id however often it is tried, because the broker may have got it each time: who reads
// the stream can leave out what comes twice.
func TestARecordKeepsItsIDOverRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const records = 20
		ids := make(map[string][]string) // by record
		f := new(fakeBus)
		f.answer = func(o bus.Outgoing) error {
			given := ""
			for _, h := range o.Headers {
				if h.Name == bus.IDHeader {
					given += string(h.Value)
				}
			}
			ids[string(o.Value)] = append(ids[string(o.Value)], given)
			if tries := len(ids[string(o.Value)]); tries < 1+len(ids)%3 { // some are taken at once, some at the third try
				return context.DeadlineExceeded
			}
			return nil
		}
		h := fake(f)
		for range 2 { // a batch, and one after it
			for i := range records {
				slog.New(h).Info(fmt.Sprint(i))
			}
			if err := h.Flush(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Close(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		seen, retried := make(map[string]bool), 0
		for record, all := range ids {
			for _, id := range all {
				if id == "" || id != all[0] {
					t.Errorf("%s: the ids of its tries are %q", record, all)
				}
			}
			if seen[all[0]] {
				t.Errorf("two records have the id %s", all[0])
			}
			seen[all[0]] = true
			if len(all) > 1 {
				retried++
			}
		}
		if retried == 0 {
			t.Error("no record was tried again")
		}
	})
}

// What is left when the time of Close is over goes to the fallback. A publish that was stuck then, and is refused
// later, does not bring its records there again.
func TestAStuckPublishComesTooLateForTheFallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := &fakeBus{deaf: stuck, answer: func(bus.Outgoing) error { return errors.New("refused") }}
		fallback := newRecorder()
		h := fake(f, Fallback(fallback))
		slog.New(h).Info("left")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Close(ctx); err == nil {
			t.Error("Close says nothing of the record that is left")
		}
		before := fallback.count("left")
		close(stuck)
		synctest.Wait()
		if n := fallback.count("left"); before != 1 || n != 1 {
			t.Errorf("the record came to the fallback %d times by the end of Close, and %d times in the end", before, n)
		}
		balanced(t, h.Stats())
	})
}
