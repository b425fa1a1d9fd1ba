package fetch

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// A partition without a leader is one line when that has lasted, and one when it is over.
func TestAMissingLeaderIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := &Fetcher{log: slog.New(slog.NewTextHandler(&out, nil))}
	p := &partition{TopicPartition: kafka.TopicPartition{Topic: "orders", Partition: 3}, next: 42}
	now := time.Unix(0, 0)
	lines := func(missing bool, after time.Duration) string {
		now = now.Add(after)
		out.Reset()
		f.logLeaderLocked(p, missing, now)
		return out.String()
	}
	for i, step := range []struct {
		missing bool
		after   time.Duration
		want    string
	}{
		{true, 0, ""}, {true, leaderTimeout / 2, ""}, {false, 0, ""}, // an election
		{true, 0, ""}, {true, leaderTimeout, "has no leader"}, {true, time.Hour, ""},
		{false, 0, "has a leader again"}, {false, time.Second, ""},
	} {
		got := lines(step.missing, step.after)
		if (step.want == "") != (got == "") || !strings.Contains(got, step.want) {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
		if got != "" && !strings.Contains(got, "topic=orders partition=3 offset=42") {
			t.Errorf("step %d: got %q", i, got)
		}
	}
}

// A partition that has had no leader for as long as its owner waits is stopped, and told of once.
func TestALeaderIsWaitedForAsLongAsTheOwnerWants(t *testing.T) {
	t.Parallel()
	p := &partition{TopicPartition: kafka.TopicPartition{Topic: "orders", Partition: 3}, next: 42}
	f := &Fetcher{
		log: slog.New(slog.DiscardHandler), opts: Options{LeaderWait: time.Minute}, closed: true,
		partitions: map[kafka.TopicPartition]*partition{p.TopicPartition: p},
	}
	now := time.Unix(0, 0)
	for _, step := range []struct {
		missing bool
		after   time.Duration
		stopped bool
	}{
		{true, 0, false}, {true, time.Minute - 1, false}, {false, 0, false}, {true, time.Hour, false},
		{true, time.Minute, true}, {true, time.Hour, true},
	} {
		now = now.Add(step.after)
		if f.logLeaderLocked(p, step.missing, now); p.stopped != step.stopped {
			t.Fatalf("%+v: stopped is %v", step, p.stopped)
		}
	}
	if len(p.segments) != 1 {
		t.Fatalf("told %d times", len(p.segments))
	}
	err := p.segments[0].items[0].err
	if err.Topic != "orders" || err.Partition != 3 || err.Offset != 42 || err.Next != -1 || !errors.Is(err, ErrNoLeader) {
		t.Errorf("got %v", err)
	}
}
