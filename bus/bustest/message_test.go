package bustest_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// approve forwards large orders, rejects those without a total, and commits what it is done with.
func approve(ctx context.Context, m *bus.Message[Order]) error {
	switch {
	case m.Data.Total == 0:
		return bus.Reject(errors.New("no total"))
	case m.Data.Total > 1000:
		if err := m.Forward(ctx, "orders.large", bus.AddHeader("why", "total")); err != nil {
			return err
		}
	}
	return m.Commit(ctx)
}

func TestAMessageRecordsWhatIsForwardedAndCommitted(t *testing.T) {
	t.Parallel()
	m := bustest.NewMessage(t, "orders", Order{ID: 7, Total: 2000})
	m.Record.Key = []byte("k")
	m.Record.Headers = []bus.Header{{Name: "tenant", Value: []byte("a")}}
	if got := bus.OutcomeOf(approve(m.Context(), m.Message)); got != bus.OutcomeHandled {
		t.Errorf("outcome %s", got)
	}
	if got := m.Committed(); len(got) != 1 || got[0] != m.Record {
		t.Errorf("committed %v, want the record once", got)
	}
	forwarded := m.Forwarded()
	if len(forwarded) != 1 {
		t.Fatalf("forwarded %d records, want 1", len(forwarded))
	}
	f := forwarded[0]
	if o, err := bus.Decode[Order](f); err != nil || o != m.Data {
		t.Errorf("forwarded %+v, %v, want %+v", o, err, m.Data)
	}
	why, _ := f.Header("why")
	if f.Stream != "orders.large" || string(f.Key) != "k" || string(why) != "total" || f.Headers[0].Name != "tenant" {
		t.Errorf("forwarded %+v", f)
	}
	if len(m.Record.Headers) != 1 {
		t.Errorf("the record got the headers of what was forwarded: %v", m.Record.Headers)
	}

	small := bustest.NewMessage(t, "orders", Order{ID: 8})
	if got := bus.OutcomeOf(approve(small.Context(), small.Message)); got != bus.OutcomeRejected {
		t.Errorf("outcome %s", got)
	}
	if len(small.Forwarded()) != 0 || len(small.Committed()) != 0 {
		t.Error("a rejected message was forwarded or committed")
	}
}

// Handlers that take something else than a Message use the functions of bus.
func TestAMessageForHandlersOfOtherTypes(t *testing.T) {
	t.Parallel()
	m := bustest.NewMessage(t, "raw", []byte(`{"id":1}`))
	ctx := m.Context()
	r := bus.Records(ctx)[0]
	if string(r.Value) != `{"data":{"id":1}}` || r.Stream != "raw" || bus.Attempt(ctx) != 1 {
		t.Errorf("got %s of stream %q, attempt %d", r.Value, r.Stream, bus.Attempt(ctx))
	}
	at := time.UnixMilli(1)
	err := errors.Join(bus.Forward(ctx, r, "copy", bus.Key("new"), bus.Timestamp(at)), bus.Commit(ctx, r))
	if err != nil {
		t.Fatal(err)
	}
	if f := m.Forwarded()[0]; string(f.Key) != "new" || !f.Time.Equal(at) || len(m.Committed()) != 1 {
		t.Errorf("forwarded %+v, committed %v", f, m.Committed())
	}
	if err := bus.Forward(ctx, r, "copy", bus.AddHeader("bad", "\xff")); err == nil || len(m.Forwarded()) != 1 {
		t.Errorf("a header that is not UTF-8: %v, and %d records are forwarded", err, len(m.Forwarded()))
	}
	for _, stream := range []string{"", ".", "a/b", strings.Repeat("a", 250)} {
		if err := bus.Forward(ctx, r, stream); err == nil || len(m.Forwarded()) != 1 {
			t.Errorf("stream %q: %v, and %d records are forwarded", stream, err, len(m.Forwarded()))
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Commit(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("commit with a context that has ended: %v", err)
	}
	if err := m.Forward(ended, "copy"); !errors.Is(err, context.Canceled) || len(m.Forwarded()) != 1 {
		t.Errorf("forward with a context that has ended: %v, %d records are forwarded", err, len(m.Forwarded()))
	}
}

// The JSON of a log record makes a message whose record is read as one from Kafka is.
func TestAMessageWithALogRecord(t *testing.T) {
	t.Parallel()
	m := bustest.NewMessage(t, "logs", []byte(`{"message":"hello","severity":"ERROR"}`))
	if r, err := bus.Decode[logrecord.Record](m.Record); err != nil || r.Message != "hello" || r.Level != slog.LevelError {
		t.Errorf("decoded %+v, %v", r, err)
	}
}

// A Message made by hand works in the context of one of bustest, but for what it lacks itself.
func TestAMessageMadeByHand(t *testing.T) {
	t.Parallel()
	recorder := bustest.NewMessage(t, "orders", Order{})
	m := &bus.Message[Order]{Record: &bus.Record{Stream: "orders", Offset: 3}}
	if err := m.Commit(recorder.Context()); err != nil || recorder.Committed()[0].Offset != 3 {
		t.Errorf("commit: %v, committed %v", err, recorder.Committed())
	}
	empty := new(bus.Message[Order])
	for _, test := range []struct {
		err  error
		want string
	}{
		{empty.Commit(recorder.Context()), "bus: commit: there is no record (it is nil): "},
		{empty.Forward(recorder.Context(), "s"), `bus: forward to stream "s": there is no record (it is nil): `},
		{m.Commit(t.Context()), "bus: commit: this Message was not delivered by a subscription: "},
		{bus.Commit(t.Context(), m.Record), "bus: commit: the context is not that of a handler's call: "},
	} {
		if test.err == nil || !strings.HasPrefix(test.err.Error(), test.want) {
			t.Errorf("got %v, want %q", test.err, test.want)
		}
	}
}
