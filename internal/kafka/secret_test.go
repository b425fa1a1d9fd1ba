package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	s.SecurityProtocol, s.SASLUsername, s.SASLPassword, s.KeyPassword = SASLSSL, "ada", NewSecret(canary),
		NewSecret(canary)
	client, err := NewClient([]string{"localhost:9092"}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	mechanism, err := saslMechanismOf(s)
	if err != nil {
		t.Fatal(err)
	}

	type hidden struct {
		secret   Secret
		pointer  *Secret
		settings Settings
		deep     []map[string]Secret
		any      any
	}
	secret := NewSecret(canary)
	values := map[string]any{
		"secret":            secret,
		"pointer":           &secret,
		"settings":          s,
		"pointer settings":  &s,
		"unexported fields": hidden{secret, &secret, s, []map[string]Secret{{"a": secret}}, secret},
		"slice":             []Secret{secret},
		"map":               map[string]any{"password": secret},
		"error":             fmt.Errorf("with %v %+v %#v %q", secret, s, s, secret),
		"client":            client,
		"client value":      client.Settings(),
		"PLAIN":             mechanism,
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%U",
				"%08v", "%-30s"} {
				refuse(t, verb, fmt.Sprintf(verb, value))
			}
			if out, err := json.Marshal(value); err == nil {
				refuse(t, "json", string(out))
			}
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("m", "a", value, slog.Group("g", "a", value))
			slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "a", value, slog.Group("g", "a", value))
			refuse(t, "slog", log.String())
		})
	}
}

// refuse fails when the canary is in out, in the clear or in hexadecimal.
func refuse(t *testing.T, how, out string) {
	t.Helper()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out, form) {
			t.Errorf("%s prints the secret: %s", how, out)
		}
	}
}

func TestSecretReveals(t *testing.T) {
	t.Parallel()
	if got := NewSecret(canary).Reveal(); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	if got := fmt.Sprintf("%v|%s|%+v", NewSecret("x"), NewSecret("x"),
		NewSecret("x")); got != "[redacted]|[redacted]|[redacted]" {
		t.Errorf("printed %q", got)
	}
	var none Secret
	if none.IsSet() || none.Reveal() != "" || none.String() != "" || NewSecret("").IsSet() {
		t.Error("the empty secret is set")
	}
}
