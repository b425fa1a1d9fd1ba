// Package cmdtest contains what the tests of the commands share: parts of their scripts, and the check that no command
// prints a password.
package cmdtest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafkaesk/kafkaesk/bus"
)

// SetKafka sets the variables from which the commands of a script take the brokers, the topics' prefix (also in
// $PREFIX) and the directory of the profiles.
func SetKafka(env *testscript.Env, servers []string, prefix string) {
	env.Setenv("KAFKAESK_KAFKA_SERVERS", strings.Join(servers, ","))
	env.Setenv("KAFKAESK_TOPIC_PREFIX", prefix)
	env.Setenv("PREFIX", prefix)
	env.Setenv("XDG_CONFIG_HOME", env.WorkDir)
}

// Publish publishes each line of a file, by the arguments STREAM FILE [key=K] [header=NAME=VALUE] [time=RFC3339].
func Publish(ctx context.Context, ts *testscript.TestScript, app *bus.App, args []string) {
	var opts []bus.PublishOption
	for _, arg := range args[2:] {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "key":
			opts = append(opts, bus.Key([]byte(value)))
		case "header":
			name, value, _ := strings.Cut(value, "=")
			opts = append(opts, bus.AddHeader(name, value))
		case "time":
			at, err := time.Parse(time.RFC3339, value)
			ts.Check(err)
			opts = append(opts, bus.Timestamp(at))
		}
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		ts.Check(app.PublishRaw(ctx, args[0], []byte(strings.TrimSuffix(line, "\n")), opts...))
	}
}

// CheckCode fails the script if its last command's exit code is not that of the only argument.
func CheckCode(ts *testscript.TestScript, code int, args []string) {
	if want, got := args[0], strconv.Itoa(code); got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}
