package monitor_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// kafkasLag returns what Kafka's own command prints of the groups: lags by group, topic and partition.
func (w *world) kafkasLag(groups ...string) map[string]string {
	w.t.Helper()
	jars, err := apache.Fetch(w.t.Context(), apache.Version)
	if err != nil {
		w.t.Fatal(err)
	}
	args := []string{"-cp", filepath.Join(jars, "*"), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
		"--bootstrap-server", w.cluster.Servers()[0], "--describe"}
	for _, g := range groups {
		args = append(args, "--group", g)
	}
	out, err := exec.CommandContext(w.t.Context(), "java", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ConsumerGroupCommand: %v\n%s", err, out)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		// GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
		if f := strings.Fields(line); len(f) >= 6 && strings.HasPrefix(f[1], w.prefix) {
			found[f[0]+" "+strings.TrimPrefix(f[1], w.prefix)+"/"+f[2]] = f[5]
		}
	}
	return found
}

// committed returns the sum of the offsets that a subscription has committed.
func committed(app *bus.App, subscription int) (sum int64) {
	for _, p := range app.Stats().Subscriptions[subscription].Assigned {
		sum += max(p.Committed, 0)
	}
	return sum
}

// The lag is what Kafka's own command prints: of a group whose handler is blocked, of one that waits for the end of a
// transaction, of one that has nothing to do, and of one whose member has left.
func TestLagIsWhatKafkaSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if !w.cluster.IsReal() {
		t.Skip("Kafka's own command needs a real Kafka: KAFKA=apache")
	}
	blocked, waiting, idle, left := w.group("blocked"), w.group("waiting"), w.group("idle"), w.group("left")
	done := func(context.Context, *bus.Record) error { return nil }
	app, gone, b := w.app(), w.app(), newBlocker()
	var calls atomic.Int64
	bus.MustSubscribe(app, "content", func(ctx context.Context, r *bus.Record) error {
		if calls.Add(1) > 3 {
			return b.handle(ctx, r)
		}
		return nil
	}, bus.Group(blocked))
	bus.MustSubscribe(app, "orders", done, bus.Group(waiting))
	bus.MustSubscribe(app, "content", done, bus.Group(idle))
	bus.MustSubscribe(gone, "content", done, bus.Group(left))
	h, other := monitor.Handler(app), monitor.Handler(gone)
	publish(t, app, "content", 3, time.Now())
	publish(t, app, "orders", 4, time.Now())
	stop := w.run(gone)
	w.run(app)
	testkit.Until(t, "the first records are not committed", func() bool {
		return committed(app, 0) == 3 && committed(app, 1) == 4 && committed(app, 2) == 3 && committed(gone, 0) == 3
	})
	stop()
	publish(t, app, "content", 7, time.Now().Add(-time.Minute))
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.TransactionalID(w.prefix+"t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: w.prefix + "orders", Key: []byte("k"),
			Value: []byte("{}")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}

	want := map[string]float64{blocked: 7, waiting: 5, idle: 0, left: 7}
	eventually(t, h, func(s series) bool {
		return s.sum(lag, blocked) == 7 && s.sum(lag, waiting) == 5 && s.sum(lag, idle) == 0
	})
	// The idle group commits what it has handled, within a second.
	testkit.Until(t, "the idle group has not committed", func() bool { return committed(app, 2) == 10 })
	kafkas := w.kafkasLag(blocked, waiting, idle, left)
	sums := make(map[string]float64)
	for key, text := range kafkas {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Errorf("Kafka's command has %s: %s", key, text)
		}
		sums[strings.Fields(key)[0]] += float64(n)
	}
	if fmt.Sprint(sums) != fmt.Sprint(want) {
		t.Errorf("Kafka's command has %v, want %v", sums, want)
	}
	ours := make(map[string]string)
	for _, h := range []any{object(t, h, "groups"), object(t, other, "groups")} {
		for _, g := range at(t, h, "groups").([]any) {
			for _, p := range at(t, g, "partitions").([]any) {
				key := fmt.Sprintf("%v %v/%v", at(t, g, "group"), at(t, p, "stream"), at(t, p, "partition"))
				ours[key] = fmt.Sprint(at(t, p, "lag"))
			}
			if age, old := at(t, g, "age_seconds"), at(t, g, "group") == blocked || at(t, g, "group") == left; old {
				if age := age.(float64); age < 60 || age > 90 {
					t.Errorf("the oldest record of %v is %v s old, want 60", at(t, g, "group"), age)
				}
			}
		}
	}
	if fmt.Sprint(ours) != fmt.Sprint(kafkas) {
		t.Errorf("the API has\n%v\nand Kafka's command\n%v", ours, kafkas)
	}
	// The metrics have the partitions of members.
	scraped := scrape(t, h)
	for key, text := range kafkas {
		group, place, _ := strings.Cut(key, " ")
		stream, partition, _ := strings.Cut(place, "/")
		if group == left {
			continue
		}
		name := fmt.Sprintf("%s{group=%q,partition=%q,stream=%q}", lag, group, partition, stream)
		if got, there := scraped[name]; !there || fmt.Sprint(got) != text {
			t.Errorf("%s is %v, and Kafka's command has %s", name, got, text)
		}
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	close(b.release)
}
