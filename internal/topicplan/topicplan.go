// Package topicplan compares the topics that an application needs with those of a cluster, and applies the
// differences that are safe to apply.
package topicplan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// The actions of a row.
const (
	Create = "create" // the topic is missing
	Alter  = "alter"  // a setting differs
	Keep   = "keep"   // the topic has no difference
	// Manual is a difference that Apply does not change: Note has the reason.
	Manual = "manual"
)

// Row is one difference, or a topic without one.
type Row struct {
	Stream string `json:"stream"`
	Topic  string `json:"topic"`
	Action string `json:"action"`
	// Setting is the setting that differs: partitions, replication_factor, or one of Kafka's such as retention.ms. It
	// is "topic" for a missing topic and for one without a difference.
	Setting string `json:"setting"`
	// Current is the cluster's value; null for a missing topic.
	Current *string `json:"current"`
	Needed  string  `json:"needed"`
	// Note is an explanation or advice.
	Note string `json:"note"`
	// Done reports whether Apply has applied the row: null before, and for a row without a change.
	Done *bool `json:"done"`
	// Error is the error of Apply.
	Error string `json:"error"`

	spec kafka.TopicSpec // for Create
}

// defaultPartitions is the number of partitions of a topic whose schema declares none.
const defaultPartitions = 7

// planner makes one plan.
type planner struct {
	app     *appinfo.App
	prefix  string
	cluster *kafka.Cluster
	configs map[string]map[string]string
	grow    bool
	rows    []Row
}

// New compares the App's needs with the cluster, and changes nothing. grow adds partitions to topics that have fewer
// than declared.
func New(ctx context.Context, client *kafka.Client, app *appinfo.App, prefix string, grow bool) ([]Row, error) {
	cluster, err := client.AllTopics(ctx)
	if err != nil {
		return nil, err
	}
	p := &planner{app: app, prefix: prefix, cluster: cluster, grow: grow, rows: []Row{}}
	var there []string
	for _, stream := range app.Streams() {
		if _, ok := cluster.Topics[prefix+stream]; ok {
			there = append(there, prefix+stream)
		}
	}
	if p.configs, err = client.TopicConfigs(ctx, there); err != nil {
		return nil, err
	}
	for _, stream := range app.Streams() {
		p.stream(stream)
	}
	for _, s := range app.Subscriptions {
		p.subscription(s)
	}
	return p.rows, nil
}

// stream compares the topic of a declared stream. As in the App, the schema that was declared first decides.
func (p *planner) stream(stream string) {
	schema := p.app.Of(stream)[0]
	topic := p.prefix + stream
	have, ok := p.cluster.Topics[topic]
	switch {
	case !ok:
		p.create(stream, schema)
		return
	case have.Err != nil:
		p.add(Row{Stream: stream, Topic: topic, Action: Manual, Setting: "topic", Note: have.Err.Error()})
		return
	}
	before := len(p.rows)
	p.partitions(stream, schema, len(have.Leaders))
	if want := p.app.ReplicationFactor; want != 0 && want != have.Replicas {
		p.add(Row{Stream: stream, Topic: topic, Action: Manual, Setting: "replication_factor", Current: text(have.Replicas),
			Needed: strconv.Itoa(want), Note: "kafka-reassign-partitions changes it"})
	}
	needed := configsOf(schema)
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		current, known := p.configs[topic][name]
		switch {
		case !known:
			p.add(Row{Stream: stream, Topic: topic, Action: Manual, Setting: name, Needed: needed[name],
				Note: "the value is hidden: the right DescribeConfigs on the topic is needed"})
		case !same(name, current, needed[name]):
			p.add(Row{Stream: stream, Topic: topic, Action: Alter, Setting: name, Current: &current, Needed: needed[name]})
		}
	}
	if len(p.rows) == before {
		p.add(Row{Stream: stream, Topic: topic, Action: Keep, Setting: "topic", Needed: p.described(schema)})
	}
}

func (p *planner) add(r Row) { p.rows = append(p.rows, r) }

func text(n int) *string {
	s := strconv.Itoa(n)
	return &s
}

func partitionsOf(s appinfo.Schema) int {
	if s.Partitions == 0 {
		return defaultPartitions
	}
	return s.Partitions
}

func (p *planner) create(stream string, s appinfo.Schema) {
	p.add(Row{Stream: stream, Topic: p.prefix + stream, Action: Create, Setting: "topic", Needed: p.described(s),
		spec: kafka.TopicSpec{Partitions: s.Partitions, ReplicationFactor: p.app.ReplicationFactor, Configs: configsOf(s)}})
}

// described summarizes the settings of a schema's topics.
func (p *planner) described(s appinfo.Schema) string {
	parts := []string{"partitions=" + strconv.Itoa(partitionsOf(s))}
	if p.app.ReplicationFactor != 0 {
		parts = append(parts, "replication_factor="+strconv.Itoa(p.app.ReplicationFactor))
	}
	configs := configsOf(s)
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		parts = append(parts, name+"="+configs[name])
	}
	return strings.Join(parts, " ")
}

// configsOf returns the topic configuration that a schema declares.
func configsOf(s appinfo.Schema) map[string]string {
	configs := make(map[string]string, len(s.TopicConfigs)+1)
	maps.Copy(configs, s.TopicConfigs)
	if s.RetentionMS > 0 {
		configs["retention.ms"] = strconv.FormatInt(s.RetentionMS, 10)
	}
	return configs
}

// same compares two values of a setting. The order of the values of cleanup.policy has no meaning.
func same(name, a, b string) bool {
	if name != "cleanup.policy" {
		return a == b
	}
	policies := func(s string) []string {
		list := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
		slices.Sort(list)
		return list
	}
	return slices.Equal(policies(a), policies(b))
}

// partitions compares the number of partitions. A schema without one accepts any number.
func (p *planner) partitions(stream string, s appinfo.Schema, have int) {
	if s.Partitions == 0 || have == s.Partitions {
		return
	}
	r := Row{Stream: stream, Topic: p.prefix + stream, Action: Alter, Setting: "partitions", Current: text(have),
		Needed: strconv.Itoa(s.Partitions), Note: "keys move to other partitions"}
	switch {
	case have > s.Partitions:
		r.Action, r.Note = Manual, "Kafka cannot remove partitions: recreate the topic, or declare this number"
	case !p.grow:
		r.Action, r.Note = Manual, "--add-partitions adds them; keys then move to other partitions"
	}
	p.add(r)
}

// subscription looks up the topics for the failed records of a subscription. Existing ones are left as they are.
func (p *planner) subscription(s appinfo.Subscription) {
	if !s.DeadLetter {
		return
	}
	for _, stream := range p.sources(s) {
		source := p.prefix + stream
		p.own(streams.Dead(stream, s.Group), kafka.TopicSpec{Source: source})
		for i, ms := range s.RetryMS {
			delay := time.Duration(ms) * time.Millisecond
			p.own(streams.Retry(stream, s.Group, i+1), kafka.TopicSpec{Source: source, Delay: delay})
		}
	}
}

// sources returns the declared or existing streams that a subscription reads.
func (p *planner) sources(s appinfo.Subscription) []string {
	found := p.app.Streams()
	for topic, t := range p.cluster.Topics {
		if stream, ok := strings.CutPrefix(topic, p.prefix); ok && !t.Internal && !streams.IsOwn(stream) {
			found = append(found, stream)
		}
	}
	found = slices.DeleteFunc(found, func(stream string) bool { return !s.Reads(stream) })
	slices.Sort(found)
	return slices.Compact(found)
}

func (p *planner) own(stream string, spec kafka.TopicSpec) {
	topic := p.prefix + stream
	r := Row{Stream: stream, Topic: topic, Action: Keep, Setting: "topic", Needed: "of failed records"}
	if _, ok := p.cluster.Topics[topic]; !ok {
		spec.ReplicationFactor = p.app.ReplicationFactor
		r.Action, r.spec = Create, spec
		r.Note = "with the retention and the largest record of " + strings.TrimPrefix(spec.Source, p.prefix)
	}
	if slices.ContainsFunc(p.rows, func(other Row) bool { return other.Topic == topic }) {
		return // two subscriptions of one group
	}
	p.add(r)
}

// Changes reports whether a plan has a difference.
func Changes(rows []Row) bool {
	return slices.ContainsFunc(rows, func(r Row) bool { return r.Action != Keep })
}

// Apply applies the rows of a plan in their order: sources come before the topics of their failed records. It goes on
// after an error, which it stores in the row, and returns the number of errors.
func Apply(ctx context.Context, client *kafka.Client, rows []Row) (failed int) {
	for i := range rows {
		r := &rows[i]
		if r.Action != Create && r.Action != Alter {
			continue
		}
		err := r.apply(ctx, client)
		r.Done = new(err == nil)
		if err != nil {
			failed++
			r.Error = err.Error()
		}
	}
	return failed
}

func (r *Row) apply(ctx context.Context, client *kafka.Client) error {
	if r.Action == Create {
		return client.EnsureTopic(ctx, r.Topic, r.spec)
	}
	if r.Setting == "partitions" {
		total, err := strconv.Atoi(r.Needed)
		if err != nil {
			return fmt.Errorf("partitions: %w", err)
		}
		return client.AddPartitions(ctx, r.Topic, total)
	}
	return client.SetTopicConfigs(ctx, r.Topic, map[string]string{r.Setting: r.Needed})
}
