// Package acls lists the ACLs that an application needs on a cluster with an authorizer.
package acls

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// Kinds of resources and of patterns, as kafka-acls has them.
const (
	Topic    = "topic"
	Group    = "group"
	Literal  = "literal"
	Prefixed = "prefixed"
)

// ACL is a set of operations to allow on one resource, or on all resources whose names begin with a prefix.
type ACL struct {
	Resource   string   `json:"resource"` // topic or group
	Name       string   `json:"name"`
	Pattern    string   `json:"pattern"` // literal or prefixed
	Operations []string `json:"operations"`
	Why        string   `json:"why"`
}

// Options are the needs of an application beyond its declarations.
type Options struct {
	// Prefix begins the name of each topic.
	Prefix string
	// Publish lists further streams that the application writes to.
	Publish []string
	// NoCreate leaves out Create: the topics exist already.
	NoCreate bool
	// Replay adds the operations that replaying and dropping dead letters need.
	Replay bool
}

// Needed returns the ACLs that an application needs, topics first, sorted by name.
func Needed(app *appinfo.App, o Options) []ACL {
	n := needs{options: o, found: make(map[resource]*need)}
	for _, stream := range app.Streams() {
		n.write(o.Prefix+stream, Literal, "publish "+stream)
	}
	for _, stream := range o.Publish {
		n.write(o.Prefix+stream, Literal, "publish "+stream)
	}
	for _, s := range app.Subscriptions {
		n.subscription(s)
	}
	return n.list()
}

// resource identifies the resource of an ACL.
type resource struct{ kind, name, pattern string }

type need struct{ operations, reasons []string }

// needs collects ACLs.
type needs struct {
	options Options
	found   map[resource]*need
}

func (n *needs) add(kind, name, pattern, why string, operations ...string) {
	r := resource{kind, name, pattern}
	if n.found[r] == nil {
		n.found[r] = new(need)
	}
	found := n.found[r]
	for _, op := range operations {
		if !slices.Contains(found.operations, op) {
			found.operations = append(found.operations, op)
		}
	}
	if !slices.Contains(found.reasons, why) {
		found.reasons = append(found.reasons, why)
	}
}

// write allows publishing. Kafka's Write implies Describe, and IdempotentWrite for the producer id.
func (n *needs) write(name, pattern, why string) {
	operations := []string{"Write"}
	if !n.options.NoCreate {
		operations = append(operations, "Create")
	}
	n.add(Topic, name, pattern, why, operations...)
}

// subscription allows reading the streams that match, committing, and moving failed records.
func (n *needs) subscription(s appinfo.Subscription) {
	n.add(Group, s.Group, Literal, "consume as "+s.Group, "Read")
	for _, pattern := range s.Patterns {
		name, kind := n.options.Prefix+pattern, Literal
		if fnmatch.HasMeta(pattern) {
			name, kind = n.options.Prefix+literalPrefix(pattern), Prefixed
		}
		n.add(Topic, name, kind, s.Group+" reads "+pattern, "Read")
		if s.DeadLetter || len(s.RetryMS) > 0 {
			n.failures(s, pattern, name, kind)
		}
	}
}

// failures allows moving failed records of the streams that match a pattern. Their topics are created with the
// settings of the source topic, so these may be described.
func (n *needs) failures(s appinfo.Subscription, pattern, name, kind string) {
	if !n.options.NoCreate {
		n.add(Topic, name, kind, s.Group+" reads "+pattern, "DescribeConfigs")
	}
	if kind == Prefixed { // the streams are unknown, but their names begin as the pattern does
		n.write(name, Prefixed, "failed records of "+s.Group)
		if n.options.Replay {
			n.add(Group, name, Prefixed, "replay dead letters of "+s.Group, "Read")
		}
		return
	}
	dead, replay, log := streams.Dead(name, s.Group), streams.Replay(name, s.Group), streams.ReplayLog(name, s.Group)
	n.write(dead, Literal, "dead letters of "+s.Group)
	n.add(Topic, replay, Literal, "replayed dead letters of "+s.Group, "Read")
	for i := range s.RetryMS {
		retry := streams.Retry(name, s.Group, i+1)
		n.write(retry, Literal, "retries of "+s.Group)
		n.add(Topic, retry, Literal, "retries of "+s.Group, "Read")
	}
	if n.options.Replay {
		n.add(Group, replay, Literal, "replay dead letters of "+s.Group, "Read") // one program at a time is its member
		n.add(Topic, dead, Literal, "dead letters of "+s.Group, "Read", "DescribeConfigs")
		n.write(replay, Literal, "replayed dead letters of "+s.Group)
		n.write(log, Literal, "what was replayed of "+s.Group)
		n.add(Topic, log, Literal, "what was replayed of "+s.Group, "Read")
	}
}

// literalPrefix returns the part of a pattern before its first meta character.
func literalPrefix(pattern string) string { return pattern[:strings.IndexAny(pattern, "*?[")] }

// list returns the collected ACLs. An empty prefix means every topic, which Kafka writes as the literal *.
func (n *needs) list() []ACL {
	all := []ACL{}
	for r, found := range n.found {
		if r.name == "" {
			r.name, r.pattern = "*", Literal
		}
		all = append(all, ACL{Resource: r.kind, Name: r.name, Pattern: r.pattern, Operations: found.operations,
			Why: strings.Join(found.reasons, "; ")})
	}
	slices.SortFunc(all, func(a, b ACL) int {
		return cmp.Or(-strings.Compare(a.Resource, b.Resource), strings.Compare(a.Name, b.Name),
			strings.Compare(a.Pattern, b.Pattern))
	})
	return all
}
