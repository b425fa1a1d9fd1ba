package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// Numbered is a record that can be found again.
type Numbered struct {
	ID  int    `json:"id"`
	Key string `json:"key"`
	N   int    `json:"n"`
}

// Half of the records are keyed. What is promised: every receipt resolves, what was acknowledged is there, once, and
// each key's records are in order. The embedded broker keeps to it as well; the real one is what counts.
func TestKillingTheBrokerThreeTimesLosesRepeatsAndReordersNothing(t *testing.T) {
	const records, keys, kills = 200_000, 100, 3
	cluster := kafkatest.Start(t, kafkatest.Own())
	if !cluster.CanKill() {
		t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
	// A small buffer, so that publishing goes on while brokers die, instead of being over before.
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), MaxBufferedRecords: 5_000})
	defer closeApp(t, app)
	bus.MustSchema[Numbered](app, "")
	ctx := within(t, 5*time.Minute)
	if err := app.Initialize(ctx); err != nil {
		t.Fatal(err)
	}

	begin := time.Now()
	receipts := make([]*bus.Receipt, records)
	due, published := make(chan struct{}, kills), make(chan struct{})
	go func() {
		defer close(published)
		next := make([]int, keys)
		for i := range records {
			if i > 0 && i%(records/(kills+1)) == 0 {
				due <- struct{}{}
			}
			record := Numbered{ID: i}
			var opts []bus.PublishOption
			if i%2 == 0 {
				k := i / 2 % keys
				record.Key, record.N = fmt.Sprint("key-", k), next[k]
				next[k]++
				opts = append(opts, bus.Key([]byte(record.Key)))
			}
			receipts[i] = app.PublishAsync(ctx, "numbered", record, opts...)
		}
	}()
	for range kills {
		<-due
		cluster.Kill(0) // with thousands of records on their way
		cluster.Restart(0)
	}
	<-published
	if err := app.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)

	acknowledged := make([]bool, records)
	failed := 0
	for i, r := range receipts {
		select {
		case <-r.Done():
		default:
			t.Fatalf("receipt %d is not resolved", i)
		}
		if err := r.Wait(ctx); err != nil {
			if failed++; failed <= 3 {
				t.Errorf("record %d: %v", i, err)
			}
			continue
		}
		acknowledged[i] = true
	}
	lost, repeated, disordered, read := compare(ctx, t, app, acknowledged)
	t.Attr("figures", fmt.Sprintf("%d published, %d failed, %d kills, %v (%.0f records/s): read back %d, lost %d, "+
		"repeated %d, out of order %d",
		records, failed, kills, took.Round(time.Millisecond), records/took.Seconds(), read, lost, repeated, disordered))
	if failed+lost+repeated+disordered > 0 {
		t.Fail()
	}
}

// compare reads all back.
func compare(ctx context.Context, t *testing.T, app *bus.App,
	acknowledged []bool) (lost, repeated, disordered, read int) {
	t.Helper()
	seen := make([]bool, len(acknowledged))
	latest := make(map[string]int)
	for r, err := range app.Tail(ctx, "numbered", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Data Numbered }
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		read++
		if seen[e.Data.ID] {
			repeated++
			continue
		}
		seen[e.Data.ID] = true
		if e.Data.Key != "" {
			if n := latest[e.Data.Key]; e.Data.N != n {
				disordered++
			}
			latest[e.Data.Key] = e.Data.N + 1
		}
	}
	for i := range acknowledged {
		if acknowledged[i] && !seen[i] {
			lost++
		}
	}
	return lost, repeated, disordered, read
}
