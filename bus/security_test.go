package bus_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// An App publishes and consumes with credentials that its program gives, and asks for them again.
func TestAnAppLogsInWithWhatItsProgramGives(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	cluster := kafkatest.Start(t, kafkatest.SASL("ada", secret))
	var asked atomic.Int64
	for name, login := range map[string]*bus.SASL{
		"password": bus.SASLPassword("SCRAM-SHA-512", "ada", secret),
		"function": bus.SASLCredentials("PLAIN", func(context.Context) (string, string, error) {
			asked.Add(1)
			return "ada", secret, nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			app := bus.New(bus.Config{
				Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), Logger: testkit.Logger(t),
				Settings: bus.Settings{"security_protocol": "SASL_PLAINTEXT"}, SASL: login,
			})
			t.Cleanup(func() { closeApp(t, app) })
			if err := app.PublishRaw(within(t, 30*time.Second), "s", []byte("v")); err != nil {
				t.Fatal(err)
			}
			if all := readAll(t, app, "s"); len(all) != 1 {
				t.Errorf("%d records", len(all))
			}
		})
	}
	if asked.Load() == 0 {
		t.Error("the function was not asked")
	}
}

// What the function gives wrongly is an error of Initialize that says so; it can be mended without a new App.
func TestAnAppWhoseCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Kfake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", "right")))
	config := bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t),
		Settings: bus.Settings{"security_protocol": "SASL_PLAINTEXT"}}
	for name, test := range map[string]struct {
		login *bus.SASL
		want  string
	}{
		"no function": {bus.SASLOAuthBearer(nil), "needs a function"},
		"mechanism":   {bus.SASLPassword("MD5", "ada", "right"), `"MD5" is not one of PLAIN`},
		"no username": {bus.SASLPassword("PLAIN", "", "right"), "needs a username"},
		"denied": {bus.SASLCredentials("PLAIN", func(context.Context) (string, string, error) {
			return "", "", bus.ErrAuth
		}), "asking the application"},
	} {
		config.SASL = test.login
		app := bus.New(config)
		err := app.Initialize(within(t, 30*time.Second))
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		app.Configure(bus.Config{SASL: bus.SASLPassword("PLAIN", "ada", "right")})
		if err := app.Initialize(within(t, 30*time.Second)); err != nil {
			t.Errorf("%s: when it is mended: %v", name, err)
		}
		closeApp(t, app)
	}
}
