package streams

import (
	"fmt"
	"testing"
)

func TestWhichStreamsASubscriptionReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		patterns []string
		tiers    int
		dead     bool
		match    []string // topics that are read
		own      []string // those among them that are retry and replay streams of its own
		not      []string // topics that are not read
	}{
		{
			name: "streams", patterns: []string{"content.*", "exact"},
			match: []string{"p[1].content.a", "p[1].content.a.b", "p[1].exact", "p[1].content.dead", "p[1].content.retry.1",
				"p[1].content.replay"},
			not: []string{"p[1].content.a.g.replay", "p[1].content.a.g.replay.log", "content.a", "p1.content.a",
				"p[1].exact.more", "p[1].content.a.g.dead", "p[1].content.a.g.retry.1", "p[1].content.a.other.retry.7"},
		},
		{
			name: "its own retries", patterns: []string{"content.*"}, tiers: 2, dead: true,
			match: []string{"p[1].content.a", "p[1].content.a.g.retry.1", "p[1].content.a.g.retry.2",
				"p[1].content.a.g.retry.3"},
			// one more than there are delays now
			own: []string{"p[1].content.a.g.retry.1", "p[1].content.a.g.retry.2", "p[1].content.a.g.retry.3"},
			not: []string{"p[1].content.a.g.retry.0", "p[1].content.a.h.retry.1", "p[1].other.g.retry.1",
				"p[1].content.a.g.dead", "p[1].g.retry.1"},
		},
		{
			name: "its own replays", patterns: []string{"content.*", "exact"}, dead: true,
			match: []string{"p[1].content.a", "p[1].content.a.g.replay", "p[1].exact", "p[1].exact.g.replay"},
			own:   []string{"p[1].content.a.g.replay", "p[1].exact.g.replay"},
			not: []string{
				"p[1].content.a.h.replay", "p[1].other.g.replay", "p[1].content.a.g.replay.log", "p[1].content.a.g.retry.1",
				"p[1].g.replay", "content.a.g.replay",
			},
		},
		{
			name: "replays, named", patterns: []string{"*.replay", "*.replay.log"},
			match: []string{"p[1].a.h.replay", "p[1].a.g.replay", "p[1].a.g.replay.log"},
			not:   []string{"p[1].a.h.dead", "p[1].a.h.retry.1", "p[1].a"},
		},
		{
			name: "those of others, named", patterns: []string{"content.*.dead", "*.retry.2"},
			match: []string{"p[1].content.a.g.dead", "p[1].content.a.h.dead", "p[1].x.h.retry.2"},
			not:   []string{"p[1].x.h.retry.1", "p[1].x.h.dead", "p[1].content.a"},
		},
		{
			name: "named with dead letters of its own", patterns: []string{"content.*.dead"}, dead: true,
			match: []string{"p[1].content.a.g.dead", "p[1].content.a.h.dead"},
			not:   []string{"p[1].content.a.g.dead.g.dead"},
		},
		{
			name: "retries of dead letters", patterns: []string{"*.dead"}, tiers: 2, dead: true,
			match: []string{"p[1].a.h.dead", "p[1].a.h.dead.g.retry.1"},
			own:   []string{"p[1].a.h.dead.g.retry.1"},
			not:   []string{"p[1].a.h.dead.g.dead"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			set, err := NewSet("p[1].", Subscription{Patterns: test.patterns, Group: "g", Tiers: test.tiers,
				DeadLetters: test.dead})
			if err != nil {
				t.Fatal(err)
			}
			own := make(map[string]bool)
			for _, topic := range test.own {
				own[topic] = true
			}
			for _, topic := range test.match {
				if !set.Match(topic) || set.IsOwn(topic) != own[topic] {
					t.Errorf("%s: match %v, own %v", topic, set.Match(topic), set.IsOwn(topic))
				}
			}
			for _, topic := range test.not {
				if set.Match(topic) || set.IsOwn(topic) {
					t.Errorf("%s: match %v, own %v", topic, set.Match(topic), set.IsOwn(topic))
				}
			}
		})
	}
}

func TestWhereARetriedRecordComesFrom(t *testing.T) {
	t.Parallel()
	none := Set{Subscription: Subscription{Group: "the.group", DeadLetters: true}}
	if base, tier := none.Origin("s.the.group.retry.1"); base != "s.the.group.retry.1" || tier != 0 {
		t.Errorf("without retry topics: %s, %d", base, tier)
	}
	if base, tier := (&Set{Subscription: Subscription{Group: "g"}}).Origin("s.g.replay"); base != "s.g.replay" ||
		tier != 0 {
		t.Errorf("without dead letters: %s, %d", base, tier)
	}
	set := Set{Subscription: Subscription{Group: "the.group", Tiers: 2, DeadLetters: true}}
	for stream, want := range map[string]string{
		"s":                                      "s 0",
		"s.the.group.retry.1":                    "s 1",
		"a.b.the.group.retry.2":                  "a.b 2",
		"s.the.group.retry.3":                    "s 3",
		"s.group.retry.1":                        "s.group.retry.1 0",
		".the.group.retry.1":                     ".the.group.retry.1 0",
		"s.the.group.retry.x":                    "s.the.group.retry.x 0",
		"s.the.group.retry.1.the.group.retry.2":  "s.the.group.retry.1 2",
		"s.the.group.dead":                       "s.the.group.dead 0",
		"s.the.group.replay":                     "s 0",
		"s.the.group.dead.the.group.replay":      "s.the.group.dead 0",
		"s.group.replay":                         "s.group.replay 0",
		".the.group.replay":                      ".the.group.replay 0",
		"s.the.group.replay.log":                 "s.the.group.replay.log 0",
		"s.the.group.retry.99999999999999999999": "s.the.group.retry.99999999999999999999 0",
	} {
		if base, tier := set.Origin(stream); fmt.Sprint(base, " ", tier) != want {
			t.Errorf("%s comes from %s, %d; want %s", stream, base, tier, want)
		}
	}
}
