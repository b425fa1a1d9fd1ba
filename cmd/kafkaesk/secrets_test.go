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

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

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
			for _, command := range []string{"streams", "groups", "lag g", "publish s --schema S:1", "doctor", "dead"} {
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
