package slogkafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
)

// asSlog gives a record slog's names for what is slog's.
func asSlog(t *testing.T, record []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(record, &m); err != nil {
		t.Fatalf("%v: %s", err, record)
	}
	if data, ok := m["data"].(map[string]any); ok {
		m = data
	}
	for ours, theirs := range map[string]string{"timestamp": slog.TimeKey, "message": slog.MessageKey} {
		if m[ours] != nil {
			m[theirs] = m[ours]
		}
		delete(m, ours)
	}
	return m
}

func TestSlogtestStream(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewStreamHandler(&out)
	}, func(t *testing.T) map[string]any { return asSlog(t, out.Bytes()) })
}

func TestSlogtestHandler(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	var h *Handler
	slogtest.Run(t, func(*testing.T) slog.Handler {
		f.taken = nil
		h = fake(f)
		return h
	}, func(t *testing.T) map[string]any {
		if err := h.Close(within(t, 5e9)); err != nil || len(f.taken) != 1 {
			t.Fatalf("%v, %d records", err, len(f.taken))
		}
		return asSlog(t, f.taken[0].Value)
	})
}

// Handlers that are derived from one, at the same time and at any depth, do not see each other's attributes.
func TestSiblings(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f, QueueSize(100_000, 64<<20))
	var parent slog.Handler = h
	for n := range 65 {
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				d := slog.New(parent).With("with", i).WithGroup(fmt.Sprint("s", i)).With("in", i)
				d.Info(fmt.Sprint(n, " ", i))
			})
		}
		wg.Wait()
		if n%2 == 0 {
			parent = parent.WithGroup(fmt.Sprint("g", n))
		} else {
			parent = parent.WithAttrs([]slog.Attr{slog.Int(fmt.Sprint("a", n), n)})
		}
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Fatal(err)
	}
	for _, o := range f.taken {
		var n, i int
		m := asSlog(t, o.Value)
		if _, err := fmt.Sscan(m[slog.MessageKey].(string), &n, &i); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`"with":%d,"s%d":{"in":%d}`, i, i, i)
		if !strings.Contains(string(o.Value), want) || strings.Count(string(o.Value), `"s`+fmt.Sprint(i)+`"`) != 1 ||
			strings.Count(string(o.Value), `"in":`) != 1 {
			t.Errorf("sibling %d at depth %d: %s", i, n, o.Value)
		}
	}
	if len(f.taken) != 3*65 {
		t.Errorf("%d records", len(f.taken))
	}
}
