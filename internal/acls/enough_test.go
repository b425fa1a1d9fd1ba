package acls_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/acls"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// order is what the app under test publishes.
type order struct {
	N int `json:"n"`
}

// On a real Kafka with an authorizer, an app with a user of no other rights publishes, consumes, retries, writes dead
// letters and replays them.
func TestTheACLsAreEnough(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.SASL("ada", "right"),
		kafkatest.Property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
		kafkatest.Property("super.users", "User:ANONYMOUS;User:root"),
		kafkatest.Property("listener.name.sasl.plain.sasl.jaas.config",
			`org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="right" user_root="root";`))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	declared := &appinfo.App{
		Schemas: []appinfo.Schema{{ID: "Order", Version: 1, Streams: []string{"orders"}}},
		Subscriptions: []appinfo.Subscription{
			{Patterns: []string{"orders"}, Group: "billing", DeadLetter: true, RetryMS: []int64{1}},
			{Patterns: []string{"content.*"}, Group: "index", DeadLetter: true},
		},
	}
	prefix := cluster.Prefix(t)
	needed := acls.Needed(declared, acls.Options{Prefix: prefix, Publish: []string{"content.a"}, Replay: true})
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: testkit.Logger(t),
		Settings: bus.Settings{
			"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "ada",
			"sasl_plain_password": "right",
		}})
	defer func() {
		if err := app.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	if err := app.PublishRaw(ctx, "content.a", []byte("{}")); !errors.Is(err, bus.ErrAuth) {
		t.Fatalf("without rights: %v", err)
	}
	allow(ctx, t, cluster.Servers(), needed)

	bus.MustSchema[order](app, "Order", bus.Streams("orders"))
	var billed, indexed, calls atomic.Int64
	bus.MustSubscribe(app, "orders", func(context.Context, order) error {
		if calls.Add(1) <= 2 { // the first call, and that of the retry stream
			return errors.New("not yet")
		}
		billed.Add(1)
		return nil
	}, bus.Group("billing"), bus.DeadLetter(), bus.Retry(bus.RetryPolicy{Attempts: 1}), bus.RetryTopics(time.Millisecond))
	bus.MustSubscribe(app, "content.*", func(context.Context, []byte) error {
		indexed.Add(1)
		return bus.Reject(errors.New("no"))
	}, bus.Group("index"), bus.DeadLetter())
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- app.Run(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if err := app.Publish(ctx, "orders", order{1}); err != nil {
		t.Fatal(err)
	}
	if err := app.PublishRaw(ctx, "content.a", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	deadLettered := func(n int) bool { return app.Stats().Subscriptions[n].DeadLettered == 1 }
	testkit.Until(t, "both records are dead letters", func() bool { return deadLettered(0) && deadLettered(1) })
	if n, err := app.ReplayDeadLetters(ctx, "orders", "billing", bus.DeadLetterSelection{}); err != nil || n.Done != 1 {
		t.Errorf("replay: %+v, %v", n, err)
	}
	testkit.Until(t, "the replayed record is handled", func() bool { return billed.Load() == 1 })
}

// allow writes ACLs for the user ada.
func allow(ctx context.Context, t *testing.T, servers []string, needed []acls.ACL) {
	t.Helper()
	root, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.SASL(plain.Auth{User: "root", Pass: "root"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	operations := map[string]kmsg.ACLOperation{"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite,
		"Create": kmsg.ACLOperationCreate, "DescribeConfigs": kmsg.ACLOperationDescribeConfigs}
	request := kmsg.NewPtrCreateACLsRequest()
	for _, a := range needed {
		for _, operation := range a.Operations {
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourcePatternType = kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral
			if a.Resource == acls.Group {
				c.ResourceType = kmsg.ACLResourceTypeGroup
			}
			if a.Pattern == acls.Prefixed {
				c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
			}
			c.ResourceName, c.Principal, c.Host = a.Name, "User:ada", "*"
			c.Operation, c.PermissionType = operations[operation], kmsg.ACLPermissionTypeAllow
			request.Creations = append(request.Creations, c)
		}
	}
	response, err := request.RequestWith(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range response.Results {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			t.Fatal(err)
		}
	}
}
