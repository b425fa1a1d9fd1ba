package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
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
