package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/internal/cmdtest"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// secretCommands connect, and need no app.
var secretCommands = []string{
	"streams", "streams -o json", "groups", "groups -o json", "groups reset g --to start",
	"groups reset g --to start -o json", "lag g", "lag g -o json", "publish s --schema S:1", "doctor", "doctor -o json",
	"dead", "dead -o json", "dead show s g", "dead show s g -o json", "dead replay s g", "dead drop s g",
}

// Wherever settings with a password come from, and whatever is wrong with them, no command prints the password.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	cmdtest.NeverPrintsSecrets(t, kafkatest.Start(t).Servers(), secretCommands, func(ctx context.Context, args []string,
		getenv func(string) string, out, errs io.Writer) int {
		return Run(ctx, args, Streams{In: strings.NewReader(`{"a":1}`), Out: out, Err: errs, Getenv: getenv})
	})
}

// secretive has secrets in the configuration of its App, and refuses to have it run.
const secretive = `package secretive

import (
	"context"

	"github.com/kafkaesk/kafkaesk/bus"
)

type Order struct{ Name string }

var App = bus.New(bus.Config{
	Servers:  []string{"127.0.0.1:1"},
	Settings: bus.Settings{"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "u",
		"sasl_plain_password": "CANARY"},
})

var Login = bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, SASL: bus.SASLPassword("PLAIN", "u", "CANARY")})

func init() {
	for _, app := range []*bus.App{App, Login} {
		bus.MustSchema[Order](app, "", bus.Streams("orders"))
		bus.MustSubscribe(app, "orders", handle, bus.Group("billing"), bus.DeadLetter())
	}
}

func handle(context.Context, Order) error { panic("a command has run the app") }
`

// The commands that take an app print neither its secrets nor those of the environment, whether they connect or not.
func TestCommandsOfAnAppPrintNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "c4nary-s3cret"
	dir := ordersModule(t)
	files{"secretive/app.go": strings.ReplaceAll(secretive, "CANARY", canary)}.write(t, dir)
	servers := strings.Join(kafkatest.Start(t).Servers(), ",") // they know no SASL: no command can log in
	settings := `KAFKAESK_KAFKA_SETTINGS={"security_protocol":"SASL_PLAINTEXT","sasl_plain_username":"u",` +
		`"sasl_plain_password":"` + canary + `"}`
	run := func(broker, args string, codes ...int) {
		t.Helper()
		cmd := command(t, dir, []string{"KAFKAESK_KAFKA_SERVERS=" + broker, settings}, strings.Fields(args)...)
		cmd.Stdin = strings.NewReader("{\"Name\":\"a\"}\n")
		got := wait(t, cmd)
		if strings.Contains(got.stdout+got.stderr, canary) || got.stdout+got.stderr == "" ||
			!slices.Contains(codes, got.code) {
			t.Errorf("kafkaesk %s, at %s: %+v, want code %d", args, broker, got, codes)
		}
	}
	for _, command := range []string{"schemas", "schemas -o json", "acls", "acls -o json", "acls --commands", "asyncapi"} {
		run(servers, command+" ./secretive:App", cli.OK)
		run(servers, command+" ./secretive:Login", cli.OK)
	}
	refused := []int{1, cli.Unreachable} // Kafka answers that it wants no login; the embedded broker hangs up
	for _, command := range []string{"topics plan", "topics plan -o json", "topics apply", "topics apply -o json"} {
		run(servers, command+" --timeout 2s ./secretive:App", refused...)
		run("127.0.0.1:1", command+" --timeout 2s ./secretive:Login", cli.Unreachable)
	}
	for _, command := range []string{"doctor", "doctor -o json"} {
		run(servers, command+" --timeout 2s --app ./secretive:App", 1)
		run("127.0.0.1:1", command+" --timeout 2s --app ./secretive:Login", 1)
	}
	run(servers, "publish orders --app ./secretive:App", refused...)
}
