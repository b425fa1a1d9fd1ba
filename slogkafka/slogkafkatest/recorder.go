// Package slogkafkatest is for tests of what an application logs: a handler that keeps its records. Only tests import
// it.
package slogkafkatest

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// Recorder is a slog.Handler that keeps what is logged as a reader of the log stream would see it: models are merged
// into their records and checked. It needs no Kafka. Its methods may be called concurrently.
type Recorder struct {
	slog.Handler

	t     testing.TB
	lines *lines
}

// NewRecorder returns a Recorder whose records are made with these options, as [slogkafka.NewStreamHandler] takes them.
// The option slogkafka.Text, whose records cannot be read back, makes Records fail the test.
func NewRecorder(t testing.TB, opts ...slogkafka.StreamOption) *Recorder {
	l := new(lines)
	return &Recorder{Handler: slogkafka.NewStreamHandler(l, opts...), t: t, lines: l}
}

// Records returns what has been logged so far, in order. A record that cannot be read back fails the test, with Fatal:
// call it from the test's own goroutine.
func (r *Recorder) Records() []logrecord.Record {
	r.t.Helper()
	var records []logrecord.Record
	for line := range bytes.Lines(r.lines.copy()) {
		record, err := logrecord.Decode(line)
		if err != nil {
			r.t.Fatalf("slogkafkatest: read %q back: %v", line, err)
		}
		records = append(records, record)
	}
	return records
}

// lines is what the stream handler has written.
type lines struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *lines) copy() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}
