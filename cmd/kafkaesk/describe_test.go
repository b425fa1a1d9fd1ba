package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// shop declares schemas, and a subscription with dead letters; its program says where it connects to.
const shop = `package shop

import (
	"context"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

type Order struct {
	Name string ` + "`json:\"name\" jsonschema:\"minLength=2\"`" + `
}

var App = bus.New(bus.Config{TopicPrefix: "shop."})

func init() {
	bus.MustSchema[Order](App, "", bus.Streams("orders.new"), bus.Partitions(3), bus.Retention(time.Hour))
	bus.MustSubscribe(App, "orders.*", handle, bus.Group("billing"), bus.DeadLetter())
}

func handle(context.Context, Order) error { panic("a command has run the app") }
`

// shopModule makes a module outside of this repository that has the package shop.
func shopModule(t *testing.T) string {
	t.Helper()
	dir := ordersModule(t)
	files{"shop/shop.go": shop}.write(t, dir)
	return dir
}

func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	dir := shopModule(t)
	before := snapshot(t, dir)
	got := kafkaesk(t, dir, []string{"KAFKAESK_KAFKA_SERVERS=broker:9092"}, "asyncapi", "--doc-version=2.1.0", "./shop")
	var document struct {
		AsyncAPI string
		Info     struct{ Title, Version string }
		Servers  map[string]struct{ Host string }
		Channels map[string]struct{ Address string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &document); err != nil || got.code != cli.OK || got.stderr != "" {
		t.Fatalf("%+v: %v", got, err)
	}
	if d := document; d.AsyncAPI != "3.0.0" || d.Info.Title != "./shop" || d.Info.Version != "2.1.0" ||
		d.Servers["kafka1"].Host != "broker:9092" || d.Channels["orders.new"].Address != "shop.orders.new" {
		t.Errorf("%+v", d)
	}
	sameFiles(t, before, snapshot(t, dir))
}

// An app that cannot be described is a sentence, and nothing of it is run.
func TestAppsThatCannotBeDescribed(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{
		"pkg/app.go": app("pkg", "old"), // its worker does not know --describe
		"main.go":    "package main\n\nfunc main() { println(\"it runs\") }\n",
	})
	for target, want := range map[string]string{
		"./pkg": "./pkg: the app's description is no JSON", ".": "is a program (package main), which nothing can import",
		"./none": "there is no directory ./none", "name": "name",
	} {
		got := kafkaesk(t, dir, nil, "asyncapi", target)
		if got.code == cli.OK || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

// The commands that take an app, on an app of another module: it is not run, and nothing of its tree changes.
func TestCommandsOfAnApp(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	dir := shopModule(t)
	before := snapshot(t, dir)
	env := []string{"KAFKAESK_KAFKA_SERVERS=" + strings.Join(cluster.Servers(), ","), "KAFKAESK_TOPIC_PREFIX=" + prefix}
	run := func(stdin string, code int, stdout, stderr string, args ...string) string {
		t.Helper()
		cmd := command(t, dir, env, args...)
		cmd.Stdin = strings.NewReader(stdin)
		got := wait(t, cmd)
		for text, want := range map[string]string{got.stdout: stdout, got.stderr: stderr} {
			if (want == "") != (text == "") || !strings.Contains(text, want) {
				t.Errorf("kafkaesk %s: %+v\nwant %q and %q", strings.Join(args, " "), got, stdout, stderr)
			}
		}
		if got.code != code {
			t.Errorf("kafkaesk %s: exit code %d, want %d", strings.Join(args, " "), got.code, code)
		}
		return got.stdout
	}

	table := run("", 0, "SCHEMA   STREAMS     PARTITIONS  RETENTION  SETTINGS", "", "schemas", "./shop")
	if !strings.Contains(table, "Order:1  orders.new           3  1h0m       -") {
		t.Error(table)
	}
	run("", 0, `"minLength": 2`, "", "schemas", "--json-schema", "Order:1", "./shop")
	run("", 2, "", `there is no schema "Order:2": the app declares Order:1`, "schemas", "--json-schema",
		"Order:2", "./shop")
	run("", 0, `"json_schema":{`, "", "schemas", "-o", "json", "./shop")

	plan := run("", 1, "create  orders.new", "", "topics", "plan", "--exit-code", "./shop")
	if again := run("", 0, "create  orders.new", "", "topics", "plan", "./shop"); again != plan {
		t.Errorf("a plan has changed something: %s\n%s", plan, again)
	}
	run("", 0, `"action":"create","setting":"topic","current":null,"needed":"partitions=3 retention.ms=3600000",`+
		`"note":"","done":true,"error":""`, "",
		"topics", "apply", "-o", "json", "./shop")
	run("", 0, "keep    orders.new.billing.dead", "", "topics", "plan", "--exit-code", "./shop")

	run("{\"name\":\"ada\"}\n{\"name\":\"x\"}\n{\"name\":\"bob\"}\n", 1, "",
		"kafkaesk: line 2: field \"name\": minLength: must be at least 2 characters, is 1\n"+
			"kafkaesk: 2 published, 1 invalid\n", "publish", "orders.new", "--app", "./shop:App")
	run("{}\n", 2, "", "the app declares 0 schemas for the stream others: name one by --schema", "publish", "others",
		"--app", "./shop")
	run("", 0, `"records":2`, "", "streams", "orders.new", "-o", "json")

	doctor := run("", 0, "ok ", "", "doctor", "--app", "./shop", "--timeout", "30s")
	for _, want := range []string{"topic " + prefix + "orders.new: ", "topic " + prefix + "orders.new.billing.dead: ",
		"group billing: "} {
		if !strings.Contains(doctor, want) {
			t.Errorf("doctor says nothing of %q: %s", want, doctor)
		}
	}
	sameFiles(t, before, snapshot(t, dir))
}
