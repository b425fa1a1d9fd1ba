package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	const canary = "c4nary-s3cret"
	servers := strings.Join(kafkatest.Start(t).Servers(), ",")
	for name, settings := range map[string]string{
		"right": `{"security_protocol":"SASL_PLAINTEXT","sasl_plain_username":"u","sasl_plain_password":"` +
			canary + `"}`,
		"a misspelt name":   `{"sasl_plain_pasword":"` + canary + `"}`,
		"another type":      `{"sasl_plain_password":["` + canary + `"]}`,
		"a wrong mechanism": `{"sasl_mechanism":"X","sasl_plain_username":"u","sasl_plain_password":"` + canary + `"}`,
		"another setting":   `{"ssl_password":"` + canary + `","linger_ms":"` + canary + `"}`,
		"cut off":           `{"sasl_plain_password":"` + canary,
		"no JSON":           canary,
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "settings.json")
		profiles := filepath.Join(dir, "kafkaesk", "config.json")
		if err := os.MkdirAll(filepath.Dir(profiles), 0o700); err != nil {
			t.Fatal(err)
		}
		profile := fmt.Sprintf(`{"profiles":{"p":{"kafka-servers":%q,"kafka-settings":%s}}}`, servers, settings)
		for path, text := range map[string]string{file: settings, profiles: profile} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for way, given := range map[string]struct {
			args []string
			env  map[string]string
		}{
			"the flag":        {args: []string{"-b", servers, "--kafka-settings", settings}},
			"a file":          {args: []string{"-b", servers, "--kafka-settings", "@" + file}},
			"the environment": {args: []string{"-b", servers}, env: map[string]string{"KAFKAESK_KAFKA_SETTINGS": settings}},
			"a profile":       {args: []string{"--profile", "p"}, env: map[string]string{"XDG_CONFIG_HOME": dir}},
		} {
			for _, command := range secretCommands {
				t.Run(command+", "+name+", by "+way, func(t *testing.T) {
					t.Parallel()
					var out, errs bytes.Buffer
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					code := Run(ctx, append(strings.Fields(command), given.args...), Streams{
						In: strings.NewReader(`{"a":1}`), Out: &out, Err: &errs,
						Getenv: func(name string) string { return given.env[name] },
					})
					if printed := out.String() + errs.String(); strings.Contains(printed, canary) {
						t.Errorf("exit %d, and printed: %s", code, printed)
					}
					if code == 0 || out.Len()+errs.Len() == 0 {
						t.Errorf("exit %d without an error: %s%s", code, &out, &errs)
					}
				})
			}
		}
	}
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
	run := func(broker, args string, code int) {
		t.Helper()
		cmd := command(t, dir, []string{"KAFKAESK_KAFKA_SERVERS=" + broker, settings}, strings.Fields(args)...)
		cmd.Stdin = strings.NewReader("{\"Name\":\"a\"}\n")
		got := wait(t, cmd)
		if strings.Contains(got.stdout+got.stderr, canary) || got.stdout+got.stderr == "" || got.code != code {
			t.Errorf("kafkaesk %s, at %s: %+v, want code %d", args, broker, got, code)
		}
	}
	for _, command := range []string{"schemas", "schemas -o json", "acls", "acls -o json", "acls --commands", "asyncapi"} {
		run(servers, command+" ./secretive:App", cli.OK)
		run(servers, command+" ./secretive:Login", cli.OK)
	}
	for _, command := range []string{"topics plan", "topics plan -o json", "topics apply", "topics apply -o json"} {
		run(servers, command+" --timeout 2s ./secretive:App", cli.Unreachable)
		run("127.0.0.1:1", command+" --timeout 2s ./secretive:Login", cli.Unreachable)
	}
	for _, command := range []string{"doctor", "doctor -o json"} {
		run(servers, command+" --timeout 2s --app ./secretive:App", 1)
		run("127.0.0.1:1", command+" --timeout 2s --app ./secretive:Login", 1)
	}
	run(servers, "publish orders --app ./secretive:App", cli.Unreachable)
}
