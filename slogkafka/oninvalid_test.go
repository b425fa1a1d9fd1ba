package slogkafka

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// A panic in the function of OnInvalid is logged once, and its records go where they would have gone without it.
func TestAPanicInOnInvalidIsLoggedOnce(t *testing.T) {
	t.Parallel()
	to := newRecorder()
	f := &fakeBus{}
	h := fake(f, Fallback(to), OnInvalid(func(context.Context, InvalidRecord) string { panic("bang") }))
	for range 3 {
		slog.New(h).Info("m", logrecord.Attr(auditLog{Who: "x"}))
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Fatal(err)
	}
	if len(f.records(t)) != 3 {
		t.Errorf("%d records are delivered, want 3", len(f.records(t)))
	}
	if errs := to.errors(); len(errs) != 1 || !strings.Contains(errs[0], "OnInvalid: panic: bang") {
		t.Errorf("the fallback got the errors %q, want the panic once", errs)
	}
}
