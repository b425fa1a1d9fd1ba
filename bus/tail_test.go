package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// values returns what was read, sorted: there is no order between partitions.
func values(all []*bus.Record) string {
	var list []string
	for _, r := range all {
		list = append(list, string(r.Value))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestTailReadsThePatternsStreams(t *testing.T) {
	app := start(t)
	for _, stream := range []string{"logs.a", "logs.b", "logs.b.c", "logsX", "prod-logs.z"} {
		if err := app.PublishRaw(t.Context(), stream, []byte(stream)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, pattern string
		opts          []bus.TailOption
		want          string
	}{
		{"glob", "logs.*", nil, "logs.a logs.b logs.b.c"},
		{"one name", "logs.b", nil, "logs.b"},
		{"everything under the prefix", "*", nil, "logs.a logs.b logs.b.c logsX prod-logs.z"},
		{"nothing", "other.*", nil, ""},
		{"two patterns, a stream of both once", "logs.b", []bus.TailOption{bus.Include("*.z", "logs.*")},
			"logs.a logs.b logs.b.c prod-logs.z"},
		{"the last of both together", "logs.a", []bus.TailOption{bus.Include("logs.b", "logs.?"), bus.LastRecords(9)},
			"logs.a logs.b"},
		{"excluded from both", "logs.a", []bus.TailOption{bus.Include("logs.b"), bus.Exclude("*.a")}, "logs.b"},
		{"excluded", "logs.*", []bus.TailOption{bus.Exclude("*.c"), bus.Exclude("logs.a")}, "logs.b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := values(readAll(t, app, test.pattern, test.opts...)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTailFollowsStreamsThatAppear(t *testing.T) {
	app := start(t)
	if err := app.PublishRaw(t.Context(), "logs.old", []byte("before")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	published := false
	for r, err := range app.Tail(ctx, "logs.*", bus.LastRecords(1)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(r.Value))
		if !published { // the tail has begun: what comes now is new
			published = true
			for _, stream := range []string{"logs.new", "logs.old"} {
				if err := app.PublishRaw(ctx, stream, []byte(stream)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(got) == 3 {
			break
		}
	}
	slices.Sort(got)
	if want := "[before logs.new logs.old]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestTailFromATimeAndTheLastRecords(t *testing.T) {
	app := start(t)
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 30 {
		at := bus.Timestamp(base.Add(time.Duration(i) * time.Second))
		if err := app.PublishRaw(t.Context(), "s", fmt.Appendf(nil, "%02d", i), at); err != nil {
			t.Fatal(err)
		}
	}
	read := func(o bus.TailOption) string {
		var list []string
		for r, err := range app.Tail(t.Context(), "s", o, bus.StopAtEnd()) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(r.Value))
		}
		return strings.Join(list, " ")
	}
	if got, want := read(bus.LastRecords(3)), "27 28 29"; got != want {
		t.Errorf("last 3: %s", got)
	}
	// Kafka knows no microseconds
	sorted := strings.Fields(read(bus.FromTime(base.Add(26*time.Second + time.Microsecond))))
	slices.Sort(sorted)
	if got := fmt.Sprint(sorted); got != "[26 27 28 29]" {
		t.Errorf("from a time: %s", got)
	}
	if got := read(bus.FromEnd()); got != "" {
		t.Errorf("from the end: %s", got)
	}
}

func TestTailEndsWithItsContextWithoutAnError(t *testing.T) {
	app := start(t)
	if err := app.PublishRaw(t.Context(), "s", []byte("v")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for r, err := range app.Tail(ctx, "s", bus.LastRecords(1)) {
		if err != nil || string(r.Value) != "v" {
			t.Fatalf("got %v, %v", r, err)
		}
		cancel()
	}
}
