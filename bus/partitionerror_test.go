package bus_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestPartitionErrorSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to int64
		err      error
		want     string
	}{
		{-1, -1, bus.ErrNoLeader, "cannot be read: the partition has no leader"},
		{7, -1, bus.ErrNoLeader, "cannot be read from offset 7 on: the partition has no leader"},
		{7, 7, bus.ErrAuth, "cannot be read from offset 7 on, which is tried again: not authenticated or not authorised"},
		{7, 10, bus.ErrDeleted, "cannot be read from offset 7 to 9: records were deleted before they were read"},
	} {
		e := &bus.PartitionError{Stream: "logs", Topic: "app.logs", Partition: 3, From: tt.from, To: tt.to, Err: tt.err}
		if want := `topic "app.logs" partition 3 ` + tt.want; e.Error() != want || !errors.Is(e, tt.err) {
			t.Errorf("got  %s\nwant %s", e.Error(), want)
		}
	}
}

// A tail that is to be whole says that there are records behind the beginning of an open transaction, when it has
// read all others.
func TestTailTellsOfAnOpenTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("money", 1)
	w.put("money", 0, "before")
	p, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.TransactionalID(w.prefix+"open"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: w.prefix + "money",
		Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range w.app().Tail(t.Context(), "money", bus.FromStart(), bus.StopAtEnd()) {
		if err == nil {
			got = append(got, string(r.Value))
			continue
		}
		bad, ok := errors.AsType[*bus.PartitionError](err)
		if !ok || !errors.Is(err, bus.ErrOpenTransaction) || bad.Stream != "money" || bad.Topic != w.prefix+"money" ||
			bad.Partition != 0 || bad.From != 1 || bad.To != -1 {
			t.Errorf("got %v", err)
		}
		got = append(got, "error")
	}
	if fmt.Sprint(got) != "[before error]" {
		t.Errorf("got %q", got)
	}
	if err := p.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}
