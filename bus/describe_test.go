package bus

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
)

// What an App declares comes through JSON as it was declared, and has no secret.
func TestDescribe(t *testing.T) {
	t.Parallel()
	app := New(Config{Servers: []string{"a:1"}, TopicPrefix: "p.", ReplicationFactor: 2, Settings: Settings{
		"security_protocol": "SASL_SSL", "sasl_plain_username": "u", "sasl_plain_password": "canary"}})
	document := `{"type":"object"}`
	MustSchema[any](app, "Doc", SchemaJSON([]byte(document)), Version(2), Retention(time.Hour), Partitions(3),
		TopicConfig("cleanup.policy", "compact"), Streams("docs.a", "docs.b"))
	MustSubscribe(app, "docs.*", func(context.Context, []byte) error { return nil }, Group("g"), Patterns("more"),
		RetryTopics(time.Second, time.Minute))
	text, err := json.Marshal(app.Describe())
	if err != nil {
		t.Fatal(err)
	}
	got, err := appinfo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := &appinfo.App{
		Servers: []string{"a:1"}, TopicPrefix: "p.", SecurityProtocol: "SASL_SSL", ReplicationFactor: 2,
		Schemas: []appinfo.Schema{{ID: "Doc", Version: 2, RetentionMS: 3_600_000, Partitions: 3,
			TopicConfigs: map[string]string{"cleanup.policy": "compact"}, Streams: []string{"docs.a", "docs.b"},
			JSONSchema: json.RawMessage(document)}},
		Subscriptions: []appinfo.Subscription{{Patterns: []string{"docs.*", "more"}, Group: "g", DeadLetter: true,
			RetryMS: []int64{1000, 60_000}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
