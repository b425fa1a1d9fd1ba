package streams

import (
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// A pattern is due once, unmatchedAfter after it began to match nothing, and again only after it had matched.
func TestUnmatchedPatternsAreDueOnce(t *testing.T) {
	t.Parallel()
	patterns, err := Compile("p.", []string{"a.*", "b"})
	if err != nil {
		t.Fatal(err)
	}
	u := NewUnmatched("p.", patterns)
	none := map[string]*kafka.Topic{}
	b := map[string]*kafka.Topic{"p.b": {Name: "p.b"}, "a.x": {Name: "a.x"}, "p.a.g.dead": {}, "p.a.i": {Internal: true}}
	both := map[string]*kafka.Topic{"p.b": {Name: "p.b"}, "p.a.x": {Name: "p.a.x"}}
	start := time.Now()
	for _, step := range []struct {
		second int
		topics map[string]*kafka.Topic
		want   string
	}{
		{0, nil, ""}, {30, nil, ""}, // no broker has answered
		{31, none, ""}, {40, none, ""}, {41, none, "a.* b "}, {42, none, ""}, {99, none, ""},
		{100, b, ""}, {101, none, ""}, {110, none, ""}, {111, none, "b "}, {200, none, ""},
		{201, both, ""}, {202, b, ""}, {211, b, ""}, {212, b, "a.* "}, {300, b, ""},
	} {
		got := ""
		for _, p := range u.due(start.Add(time.Duration(step.second)*time.Second), step.topics) {
			got += p.String() + " "
		}
		if got != step.want {
			t.Errorf("after %d s: due %q, want %q", step.second, got, step.want)
		}
	}
}
