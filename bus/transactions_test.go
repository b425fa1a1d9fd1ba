package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Records of aborted transactions and the markers that end transactions are never handled, and what is committed passes
// them: a group that has handled everything lags behind by nothing, though the last offsets of its partition hold no
// record for it.
func TestAbortedTransactionsAreNotHandledAndCommitsPassThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("money", 1)
	var want []string
	end := int64(0)
	for i := range 20 {
		value, abort := fmt.Sprintf("transfer %d", i), i%3 == 2
		w.transaction("money", abort, value+"a", value+"b")
		if end += 3; !abort { // two records and a marker
			want = append(want, value+"a", value+"b")
		}
	}
	w.put("money", 0, "outside of any")
	want, end = append(want, "outside of any"), end+1
	w.transaction("money", true, "never")
	end += 2

	group := w.group("g")
	var got list[string]
	app := w.app()
	bus.MustSubscribe(app, "money", func(_ context.Context, value []byte) error {
		got.add(string(value))
		return nil
	}, bus.Group(group))
	stop := running(t, app)
	got.wait(t, len(want))
	w.waitCommitted(group, "money", map[int32]int64{0: end})
	if all := got.get(); !slices.Equal(all, want) {
		t.Errorf("handled %s\nwant %s", strings.Join(all, ", "), strings.Join(want, ", "))
	}
	if s := stats(app); s.Lag != 0 || len(s.Assigned) != 1 || s.Assigned[0].Watermark != end {
		t.Errorf("lag %d, %+v: want none, and the watermark at the end, %d", s.Lag, s.Assigned, end)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// transaction writes values into partition 0 in one transaction, which is given up or not.
func (w *world) transaction(stream string, abort bool, values ...string) {
	w.t.Helper()
	ctx := w.t.Context()
	if w.transactions == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.TransactionalID(w.prefix+"transactions"),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(client.Close)
		w.transactions = client
	}
	if err := w.transactions.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range values {
		if err := w.transactions.ProduceSync(ctx, &kgo.Record{Topic: w.prefix + stream,
			Value: []byte(v)}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.transactions.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
		w.t.Fatal(err)
	}
}
