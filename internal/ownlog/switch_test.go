package ownlog_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// A logger that was derived before the destination is replaced logs to the new one, with its attributes and groups, and
// marked.
func TestSwitch(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	var s ownlog.Switch
	s.Set(slog.New(slog.NewTextHandler(&first, nil)))
	log := s.Logger().With("a", 1).WithGroup("g").With("b", 2)
	log.Info("one", "c", 3)
	s.Set(slog.New(slog.NewTextHandler(&second, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Debug("two", "c", 3)
	if got := first.String(); !strings.Contains(got, "msg=one a=1 g.b=2 g.c=3") || strings.Contains(got, "two") {
		t.Errorf("the first destination has %s", got)
	}
	if got := second.String(); !strings.Contains(got, "msg=two a=1 g.b=2 g.c=3") {
		t.Errorf("the second destination has %s", got)
	}
	var marks []bool
	s.Set(slog.New(seen{&marks}))
	if log.Info("three"); len(marks) != 1 || !marks[0] {
		t.Errorf("marks %v", marks)
	}
}
