package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// partitions returns how many partitions a stream's topic has.
func (w *world) partitions(stream string) int {
	w.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(w.prefix + stream)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(w.t.Context(), w.raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(resp.Topics[0].Partitions)
}

// Streams that are declared are created by Initialize, others by the first publish; both as the schema says.
func TestTopicsAreCreatedAsTheirSchemaSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app()
	bus.MustSchema[Content](app, "Content", bus.Streams("declared"), bus.Partitions(3), bus.Retention(time.Hour),
		bus.TopicConfig("max.message.bytes", "500000"))
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Publish(t.Context(), "published", Content{Title: "t"}); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"declared", "published"} {
		if n := w.partitions(stream); n != 3 {
			t.Errorf("%s has %d partitions, want 3", stream, n)
		}
		want := []string{"max.message.bytes=500000", "retention.ms=3600000"}
		if got := w.ownConfigs(stream); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", stream, got, want)
		}
	}
	info := app.Schemas()[0]
	if info.Partitions != 3 || !maps.Equal(info.TopicConfigs, map[string]string{"max.message.bytes": "500000"}) {
		t.Errorf("info %+v", info)
	}
}

// What only a broker can know is an error of the first use, and does not take until the context ends.
func TestAConfigurationThatTheBrokerRefusesIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if !w.cluster.IsReal() {
		t.Skip("the embedded broker takes any configuration: run with KAFKA=apache")
	}
	app := w.app()
	bus.MustSchema[Content](app, "Content", bus.TopicConfig("cleanup.policy", "sometimes"))
	err := app.Publish(within(t, 30*time.Second), "s", Content{Title: "t"})
	if err == nil || !strings.Contains(err.Error(), "cleanup.policy") || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the broker's", err)
	}
}

func TestTopicOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts []bus.SchemaOption
		want string
	}{
		"no partitions":       {[]bus.SchemaOption{bus.Partitions(0)}, "at least one"},
		"negative partitions": {[]bus.SchemaOption{bus.Partitions(-1)}, "partitions -1"},
		"no name":             {[]bus.SchemaOption{bus.TopicConfig("", "v")}, "needs a name"},
		"twice": {[]bus.SchemaOption{bus.TopicConfig("cleanup.policy", "compact"),
			bus.TopicConfig("cleanup.policy", "delete")}, "cleanup.policy is given twice"},
		"retention twice": {[]bus.SchemaOption{bus.TopicConfig("retention.ms", "1"), bus.Retention(time.Hour)},
			"one setting"},
	} {
		err := bus.Schema[Content](bus.New(bus.Config{}), "Content", test.opts...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want it to have %q", name, err, test.want)
		}
	}
}

// Where others create topics, a missing one is told at once, with what to do, and never created; one that is there is
// used.
func TestWithoutCreateTopicsAMissingTopicIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app(bus.Config{CreateTopics: new(false)})
	ctx := within(t, 30*time.Second)
	receipt := app.PublishAsync(ctx, "missing", Content{Title: "t"})
	if err := receipt.Wait(ctx); err == nil {
		t.Fatal("a type without a schema was published")
	}
	bus.MustSchema[Content](app, "Content")
	for range 2 {
		err := app.Publish(ctx, "missing", Content{Title: "t"})
		if err == nil || !strings.Contains(err.Error(), "kafkaesk topics plan") || errors.Is(err, bus.ErrUnacknowledged) ||
			ctx.Err() != nil {
			t.Fatalf("error %v, want one that says what to do", err)
		}
	}
	if w.hasTopic("missing") {
		t.Error("the topic was created")
	}
	w.stream("missing", 1)
	if err := app.Publish(ctx, "missing", Content{Title: "t"}); err != nil {
		t.Errorf("the topic is there: %v", err)
	}

	declares := w.app(bus.Config{CreateTopics: new(false)})
	bus.MustSchema[Content](declares, "Content", bus.Streams("declared"))
	err := declares.Initialize(ctx)
	if err == nil || !strings.Contains(err.Error(), "kafkaesk topics plan") ||
		!strings.Contains(err.Error(), `"declared"`) {
		t.Errorf("Initialize: %v", err)
	}
	declares.Configure(bus.Config{CreateTopics: new(true)})
	if err := declares.Initialize(ctx); err != nil || !w.hasTopic("declared") {
		t.Errorf("Initialize that may create topics: %v", err)
	}
}

// A dead letter without a topic waits for it: its record is not lost, and Health says what to do.
func TestWithoutCreateTopicsADeadLetterWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app(bus.Config{CreateTopics: new(false)})
	group := w.group("g")
	bus.MustSubscribe(app, "s", func(context.Context, Content) error { return bus.Reject(errors.New("never")) },
		bus.Group(group), bus.DeadLetter())
	running(t, app)
	var health error
	eventually(t, func() bool {
		health = app.Health(t.Context())
		return health != nil && strings.Contains(health.Error(), "kafkaesk topics plan")
	}, func() string { return fmt.Sprintf("Health: %v", health) })
	w.stream("s."+group+".dead", 1)
	w.waitCommitted(group, "s", map[int32]int64{0: 1})
	if n := len(readAll(t, app, "s."+group+".dead")); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

// A key is the same record key as text and as bytes.
func TestKeysMayBeText(t *testing.T) {
	t.Parallel()
	type id string
	app := start(t)
	var none []byte
	for _, key := range []bus.PublishOption{bus.Key([]byte("mykey")), bus.Key("mykey"), bus.Key(id("mykey")), bus.Key(""),
		bus.Key(none)} {
		if err := app.PublishRaw(t.Context(), "s", []byte("v"), key); err != nil {
			t.Fatal(err)
		}
	}
	keys := make(map[string]int)
	for _, r := range readAll(t, app, "s") {
		switch {
		case r.Key == nil:
			keys["(none)"]++
		case string(r.Key) == "mykey" && r.Partition != 5: // 5 of 7 is where Python places this key
			t.Errorf("mykey lies on partition %d", r.Partition)
		default:
			keys[string(r.Key)]++
		}
	}
	if want := map[string]int{"mykey": 3, "": 1, "(none)": 1}; !maps.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
}
