package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// secretCanary is a password. Whatever is printed is searched for it, as it is and as other bases write it.
const secretCanary = "c4nary-s3cret"

// No password comes out of what the package exports, however it is printed, nor out of an error or the log.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	settings := `{"security_protocol":"SASL_SSL","sasl_plain_username":"user","sasl_plain_password":"` + secretCanary +
		`","ssl_password":"` + secretCanary + `"}`
	parsed, err := bus.ParseSettings(settings)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	config := bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: parsed, SASL: nil,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	secured := config
	secured.Settings, secured.SASL = nil, bus.SASLPassword("PLAIN", "user", secretCanary)
	literal := bus.Settings{"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "user",
		"sasl_plain_password": secretCanary}
	ofLiteral := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: literal, Logger: config.Logger})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	initialize := ofLiteral.Initialize(ctx)
	if initialize == nil {
		t.Fatal("connected to nothing")
	}
	values := map[string]any{
		"Settings": parsed, "*Settings": &parsed, "Config": config, "*Config": &config, "Config with SASL": secured,
		"SASL": secured.SASL, "SASL value": *secured.SASL,
		"App": bus.New(config), "App of a literal map": ofLiteral, "App with SASL": bus.New(secured),
		"Stats": ofLiteral.Stats(),
		"credentials": bus.SASLCredentials("PLAIN", func(context.Context) (string, string, error) {
			return "user", secretCanary, nil
		}),
		"tokens": bus.SASLOAuthBearer(func(context.Context) (bus.Token, error) {
			return bus.Token{Value: secretCanary}, nil
		}),
		"an error": initialize,
	}
	for i, wrong := range []string{settings[:len(settings)-1], `"` + secretCanary + `"`, `{"sasl_plain_password":{"a":"` +
		secretCanary + `"}}`,
		`{"sasl_plain_password":["` + secretCanary + `"]}`, `{"sasl_pasword":"` + secretCanary + `"}`, `{"linger_ms":"` +
			secretCanary + `"}`} {
		_, err := bus.ParseSettings(wrong)
		if err == nil {
			t.Errorf("%s is taken", wrong)
		}
		values[fmt.Sprintf("error %d of ParseSettings", i)] = err
	}
	for name, v := range values {
		testkit.NeverPrints(t, name, v, secretCanary)
	}
	// At the top, and in exported fields, these print nothing either; an unexported field is what their documentation
	// warns of.
	token := bus.Token{Value: secretCanary}
	for how, text := range testkit.Printed(struct{ Exported any }{[]any{literal, token, &token}}) {
		// %p is no verb of a struct, and fmt then prints its memory.
		if !strings.Contains(how, "inside") && how != "%p" && !strings.HasPrefix(how, "slog") &&
			strings.Contains(text, secretCanary) {
			t.Errorf("%s prints the secret: %s", how, text)
		}
	}
	if s, _, err := kafka.ParseSettings(parsed); err != nil || s.SASLPassword.Reveal() != secretCanary ||
		s.KeyPassword.Reveal() != secretCanary {
		t.Errorf("the secret is gone: %v", err)
	}
	if literal["sasl_plain_password"] != secretCanary {
		t.Error("the caller's map was changed")
	}
	if strings.Contains(log.String(), secretCanary) {
		t.Errorf("the log has the secret: %s", &log)
	}
	if err := ofLiteral.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
