package acls_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/acls"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
)

func TestNeeded(t *testing.T) {
	t.Parallel()
	app := &appinfo.App{
		Schemas: []appinfo.Schema{{ID: "Order", Version: 1, Streams: []string{"orders"}}},
		Subscriptions: []appinfo.Subscription{
			{Patterns: []string{"orders"}, Group: "billing", DeadLetter: true, RetryMS: []int64{1000}},
			{Patterns: []string{"content.*", "*"}, Group: "index", DeadLetter: true},
		},
	}
	want := []acls.ACL{
		{"topic", "*", "literal", []string{"Read", "DescribeConfigs", "Write", "Create"},
			"index reads *; failed records of index"},
		{"topic", "logs", "literal", []string{"Write", "Create"}, "publish logs"},
		{"topic", "orders", "literal", []string{"Write", "Create", "Read", "DescribeConfigs"},
			"publish orders; billing reads orders"},
		{"topic", "orders.billing.dead", "literal", []string{"Write", "Create"}, "dead letters of billing"},
		{"topic", "orders.billing.replay", "literal", []string{"Read"}, "replayed dead letters of billing"},
		{"topic", "orders.billing.retry.1", "literal", []string{"Write", "Create", "Read"}, "retries of billing"},
		{"topic", "content.", "prefixed", []string{"Read", "DescribeConfigs", "Write", "Create"},
			"index reads content.*; failed records of index"},
		{"group", "billing", "literal", []string{"Read"}, "consume as billing"},
		{"group", "index", "literal", []string{"Read"}, "consume as index"},
	}
	got := acls.Needed(app, acls.Options{Publish: []string{"logs"}})
	byName := func(all []acls.ACL) map[string]acls.ACL {
		m := make(map[string]acls.ACL)
		for _, a := range all {
			m[a.Resource+" "+a.Name] = a
		}
		return m
	}
	if diff := cmp.Diff(byName(want), byName(got)); diff != "" {
		t.Error(diff)
	}
	got = acls.Needed(&appinfo.App{Subscriptions: []appinfo.Subscription{{Patterns: []string{"s"}, Group: "g",
		DeadLetter: true}}},
		acls.Options{Prefix: "p.", NoCreate: true, Replay: true})
	want = []acls.ACL{
		{"topic", "p.s", "literal", []string{"Read"}, "g reads s"},
		{"topic", "p.s.g.dead", "literal", []string{"Write", "Read", "DescribeConfigs"}, "dead letters of g"},
		{"topic", "p.s.g.replay", "literal", []string{"Read", "Write"}, "replayed dead letters of g"},
		{"topic", "p.s.g.replay.log", "literal", []string{"Write", "Read"}, "what was replayed of g"},
		{"group", "g", "literal", []string{"Read"}, "consume as g"},
		{"group", "p.s.g.replay", "literal", []string{"Read"}, "replay dead letters of g"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The groups of replays begin as the streams of a pattern do.
	got = acls.Needed(&appinfo.App{Subscriptions: []appinfo.Subscription{{Patterns: []string{"s.*"}, Group: "g",
		DeadLetter: true}}},
		acls.Options{Prefix: "p.", NoCreate: true, Replay: true})
	want = []acls.ACL{
		{"topic", "p.s.", "prefixed", []string{"Read", "Write"}, "g reads s.*; failed records of g"},
		{"group", "g", "literal", []string{"Read"}, "consume as g"},
		{"group", "p.s.", "prefixed", []string{"Read"}, "replay dead letters of g"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
