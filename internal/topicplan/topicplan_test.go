package topicplan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// short is a row as the test names it.
func short(rows []Row) []string {
	var all []string
	for _, r := range rows {
		current := "-"
		if r.Current != nil {
			current = *r.Current
		}
		line := fmt.Sprintf("%s %s %s %s", r.Action, r.Stream, r.Setting, current)
		if r.Action == Alter || r.Action == Manual {
			line += " " + r.Needed
		}
		all = append(all, line)
	}
	return all
}

func wantRows(t *testing.T, rows []Row, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, short(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A plan says what misses and differs, and changes nothing; applied, it leaves what only a person should do.
func TestPlanAndApply(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), testkit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	create := func(stream string, spec kafka.TopicSpec) {
		t.Helper()
		if err := client.EnsureTopic(t.Context(), prefix+stream, spec); err != nil {
			t.Fatal(err)
		}
	}
	create("same", kafka.TopicSpec{Partitions: 2, Configs: map[string]string{"cleanup.policy": "delete,compact",
		"retention.ms": "60000"}})
	create("few", kafka.TopicSpec{Partitions: 1})
	create("many", kafka.TopicSpec{Partitions: 5, Configs: map[string]string{"retention.ms": "60000"}})
	create("others.read", kafka.TopicSpec{Partitions: 1})
	create("others.read.g.dead", kafka.TopicSpec{Partitions: 1})
	app := &appinfo.App{
		Schemas: []appinfo.Schema{
			{ID: "A", Version: 1, Streams: []string{"same"}, Partitions: 2, RetentionMS: 60_000,
				TopicConfigs: map[string]string{"cleanup.policy": "compact, delete"}},
			{ID: "B", Version: 1, Streams: []string{"few", "many"}, Partitions: 3, RetentionMS: 3_600_000},
			{ID: "C", Version: 1, Streams: []string{"missing"}, Partitions: 4,
				TopicConfigs: map[string]string{"cleanup.policy": "compact"}},
		},
		Subscriptions: []appinfo.Subscription{
			{Patterns: []string{"others.*", "missing"}, Group: "g", DeadLetter: true, RetryMS: []int64{1000}},
			{Patterns: []string{"same"}, Group: "g"},
		},
	}
	plan := func(grow bool) []Row {
		t.Helper()
		rows, err := New(t.Context(), client, app, prefix, grow)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	few := retention(t, client, prefix+"few")
	want := []string{
		"manual few partitions 1 3", "alter few retention.ms " + few + " 3600000",
		"manual many partitions 5 3", "alter many retention.ms 60000 3600000",
		"create missing topic -",
		"keep same topic -",
		"create missing.g.dead topic -", "create missing.g.retry.1 topic -",
		"keep others.read.g.dead topic -", "create others.read.g.retry.1 topic -",
	}
	rows := plan(false)
	wantRows(t, rows, want...)
	wantRows(t, plan(false), want...) // it has changed nothing
	if failed := Apply(t.Context(), client, rows); failed != 0 {
		t.Errorf("%d failed: %+v", failed, rows)
	}
	wantRows(t, plan(true), "alter few partitions 1 3", "manual many partitions 5 3", "keep missing topic -",
		"keep same topic -",
		"keep missing.g.dead topic -", "keep missing.g.retry.1 topic -", "keep others.read.g.dead topic -",
		"keep others.read.g.retry.1 topic -")
	if failed := Apply(t.Context(), client, plan(true)); failed != 0 {
		t.Errorf("%d failed", failed)
	}
	testkit.Until(t, "few has three partitions", func() bool {
		seen, err := client.Topics(t.Context(), prefix+"few", prefix+"missing")
		return err == nil && len(seen.Topics[prefix+"few"].Leaders) == 3 && len(seen.Topics[prefix+"missing"].Leaders) == 4
	})
	rows = plan(true)
	if !Changes(rows) {
		t.Error("a topic with too many partitions is a change")
	}
	// What a broker refuses stands in its row.
	app.Schemas[0].TopicConfigs["cleanup.policy"] = "nonsense"
	rows = plan(true)
	if failed := Apply(t.Context(), client, rows); failed == 0 && cluster.IsReal() {
		t.Errorf("nothing failed: %+v", rows)
	}
}

func retention(t *testing.T, client *kafka.Client, topic string) string {
	t.Helper()
	configs, err := client.TopicConfigs(t.Context(), []string{topic}, "retention.ms")
	if err != nil {
		t.Fatal(err)
	}
	return configs[topic]["retention.ms"]
}
