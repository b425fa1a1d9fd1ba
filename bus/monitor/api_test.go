package monitor_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// paths are those of the API, by what their answer has beside the time.
var paths = map[string]string{
	"info": "program", "streams": "streams", "groups": "groups", "schemas": "schemas", "subscriptions": "subscriptions",
	"logs": "logs",
}

// object asks the API for an object.
func object(t *testing.T, h http.Handler, path string) map[string]any {
	t.Helper()
	answer := get(t, h, "/api/v1/"+path)
	var o map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &o); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%s: %d, %v\n%s", path, answer.Code, err, answer.Body)
	}
	return o
}

// at returns what an object has below keys and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(map[string]any)[step]
		case int:
			all := v.([]any)
			if len(all) <= step {
				t.Fatalf("%v has no %d", all, step)
			}
			v = all[step]
		}
	}
	return v
}

// Every path answers with the time, names in snake_case, and what the App and the brokers say.
func TestAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, b, group := w.app(), newBlocker(), w.group("g")
	bus.MustSchema[Content](app, "Content", bus.Streams("content"), bus.Retention(time.Hour))
	bus.MustSubscribe(app, "content", b.handle, bus.Group(group))
	logs := slogkafka.NewHandler(app, "logs.app")
	h := monitor.Handler(app)
	publish(t, app, "content", 5, time.Now().Add(-time.Minute))
	w.run(app)
	eventually(t, h, func(s series) bool { return s.sum(lag) == 5 })
	testkit.Eventually(t, func() bool { return app.Stats().Subscriptions[0].Assigned[6].Committed >= 0 },
		func() string { return "no commit" })

	snake := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	var check func(path string, v any)
	check = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if key == "json_schema" || key == "topic_configs" {
					continue // a document of another standard, and Kafka's names
				}
				if !snake.MatchString(key) {
					t.Errorf("%s has the key %q", path, key)
				}
				check(path+"."+key, value)
			}
		case []any:
			for _, value := range v {
				check(path, value)
			}
		}
	}
	found := make(map[string]any)
	for path, key := range paths {
		o := object(t, h, path)
		if _, err := time.Parse(time.RFC3339, o["generated_at"].(string)); err != nil || o[key] == nil {
			t.Errorf("%s: %v, %v", path, o, err)
		}
		check(path, o)
		found[path] = o
	}
	want := func(want any, path ...any) {
		t.Helper()
		if got := at(t, found, path...); got != want {
			t.Errorf("%v is %v, want %v", path, got, want)
		}
	}
	want(w.prefix, "info", "topic_prefix")
	want(true, "info", "ready")
	want(float64(5), "info", "producer", "sent")
	want("content", "streams", "streams", 0, "stream")
	want(float64(5), "streams", "streams", 0, "records")
	want(float64(time.Hour.Milliseconds()), "streams", "streams", 0, "retention_ms")
	want("Content", "schemas", "schemas", 0, "id")
	want("object", "schemas", "schemas", 0, "json_schema", "type")
	want(group, "groups", "groups", 0, "group")
	want(float64(5), "groups", "groups", 0, "lag")
	want("Stable", "groups", "groups", 0, "state")
	want(group, "subscriptions", "subscriptions", 0, "group")
	want("stable", "subscriptions", "subscriptions", 0, "state")
	want(float64(5), "subscriptions", "subscriptions", 0, "lag")
	want(nil, "subscriptions", "subscriptions", 0, "paused_since")
	want("logs.app", "logs", "logs", 0, "stream")
	want(nil, "logs", "logs", 0, "oldest_seconds")
	if n := len(at(t, found, "info", "brokers").([]any)); n == 0 {
		t.Error("no brokers")
	}
	if age := at(t, found, "groups", "groups", 0, "age_seconds").(float64); age < 60 || age > 120 {
		t.Errorf("the oldest record is %v s old, want 60", age)
	}
	if n := len(at(t, found, "groups", "groups", 0, "members", 0, "partitions").([]any)); n != 7 {
		t.Errorf("the member has %d partitions", n)
	}
	if err := logs.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(b.release)
}

// However many ask at once, the brokers are asked once.
func TestQuestionsToBrokersAreShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kafkatest.Kfake()) // which counts its requests
	app := w.app()
	bus.MustSubscribe(app, "content", newBlocker().handle, bus.Group("g"))
	h := monitor.Handler(app)
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	var described atomic.Int64
	w.cluster.Fake().ControlKey(int16(kmsg.DescribeGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.Fake().KeepControl()
		described.Add(1)
		return nil, nil, false
	})
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			if answer := get(t, h, "/api/v1/groups"); answer.Code != http.StatusOK {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	asking.Wait()
	if n := described.Load(); n != 1 {
		t.Errorf("the group was described %d times for 50 who asked, want once", n)
	}
}

// What the brokers cannot be asked is an error that says why, and the rest is answered.
func TestTheAPIWithoutABroker(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-canary"
	app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: bus.Settings{
		"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "u",
		"sasl_plain_password": secret}, Logger: testkit.Logger(t)})
	t.Cleanup(func() { _ = app.Close(context.Background()) })
	bus.MustSubscribe(app, "content", newBlocker().handle, bus.Group("g"))
	h := monitor.Handler(app)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := app.Initialize(ctx); err == nil {
		t.Fatal("initialized without a broker")
	}
	for path := range paths {
		answer := get(t, h, "/api/v1/"+path)
		want := http.StatusOK
		if path == "streams" || path == "groups" {
			want = http.StatusServiceUnavailable
			if !strings.Contains(answer.Body.String(), `"error": "the App is not initialized`) {
				t.Errorf("%s: %s", path, answer.Body)
			}
		}
		if answer.Code != want || !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s: %d, want %d\n%s", path, answer.Code, want, answer.Body)
		}
		if strings.Contains(answer.Body.String(), secret) {
			t.Errorf("%s shows the password", path)
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/livez"} {
		if answer := get(t, h, path); strings.Contains(answer.Body.String(), secret) {
			t.Errorf("%s shows the password", path)
		}
	}
}
