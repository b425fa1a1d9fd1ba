package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func countLines(text, part string) int { return strings.Count(text, part) }

// Whatever comes, ten lines a second are logged, and the others are counted.
func TestLinesOfAKindAreLimitedAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := newLogLimiter(slog.New(slog.NewTextHandler(&b, nil)), slog.LevelWarn, "rejected records")
		for second := range 3 {
			for i := range 40 {
				l.line("bus: a record is rejected", &Record{Topic: "s", Partition: second, Offset: int64(i)}, errors.New("no"))
			}
			l.logOmitted()
			l.logOmitted() // nothing more to tell
			time.Sleep(time.Second)
		}
		l.line("bus: a record is rejected", &Record{}, errors.New("no"))
		l.logOmitted()
		text := b.String()
		if lines, logged := countLines(text, "is rejected"),
			countLines(text, `kind="rejected records" omitted=30`); lines != 31 || logged != 3 ||
			countLines(text, "level=WARN") != 34 {
			t.Errorf("%d lines, %d counts:\n%s", lines, logged, text)
		}
	})
}

func TestLinesOfADisabledLevelAreNotCounted(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := newLogLimiter(slog.New(slog.NewTextHandler(&b, nil)), slog.LevelDebug, "failed attempts")
	for range 100 {
		l.line("bus: an attempt at a record failed", &Record{}, errors.New("no"))
	}
	if l.logOmitted(); b.Len() > 0 {
		t.Errorf("logged %s", b.String())
	}
}

// A panic of a new place is logged, however many lines there were before it; one of a known place counts like any line.
func TestTheFirstPanicOfEachStackIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := newLogLimiter(slog.New(slog.NewTextHandler(&b, nil)), slog.LevelWarn, "rejected records")
		for range linesPerSecond {
			l.line("bus: a record is rejected", &Record{}, errors.New("no"))
		}
		here := func(n int) error { return &PanicError{Value: n, Stack: debug.Stack()} }
		for i := range 50 {
			l.line("bus: a record is rejected", &Record{}, Reject(here(i)))
			if i%10 == 0 {
				l.line("bus: a record is rejected", &Record{}, fmt.Errorf("there: %w", here(i))) // another line of this file
			}
		}
		l.logOmitted()
		text := b.String()
		if panics, logged := countLines(text, "loglimit_test.go"), countLines(text, "omitted=53"); panics < 2 ||
			countLines(text, "stack=") != 2 || logged != 1 {
			t.Errorf("%d panics, %d counts:\n%s", panics, logged, text)
		}
	})
}
