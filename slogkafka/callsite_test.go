package slogkafka

import (
	"bytes"
	"log/slog"
	"os"
	"testing"
)

// A nil option is one that was not given: both handlers work with it.
func TestNilOptionChangesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(NewStreamHandler(&out, nil, Service("s"))).Info("hello")
	if !bytes.Contains(out.Bytes(), []byte(`"service":"s"`)) {
		t.Errorf("the record is %s", out.Bytes())
	}
	f := &fakeBus{}
	h := fake(f, nil)
	slog.New(h).Info("hello")
	if err := h.Close(within(t, 10e9)); err != nil || len(f.records(t)) != 1 {
		t.Errorf("%v: %d records", err, len(f.taken))
	}
}

// A stream handler without a writer writes to standard error, as Python's does. The test replaces standard error, so that
// it cannot run beside others.
func TestStreamHandlerWithoutAWriter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	h := NewStreamHandler(nil)
	os.Stderr = before
	slog.New(h).Info("hello")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || !bytes.Contains(out.Bytes(), []byte(`"message":"hello"`)) {
		t.Errorf("%v: %s", err, out.Bytes())
	}
}
