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
)

// Wherever settings with a password come from, and whatever is wrong with them, logtail prints no password.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const canary = "c4nary-s3cret"
	b := setup(t)
	for name, settings := range map[string]string{
		"right": `{"security_protocol":"SASL_PLAINTEXT","sasl_plain_username":"u","sasl_plain_password":"` +
			canary + `"}`,
		"a misspelt name":   `{"sasl_plain_pasword":"` + canary + `"}`,
		"another type":      `{"sasl_plain_password":["` + canary + `"]}`,
		"a wrong mechanism": `{"sasl_mechanism":"X","sasl_plain_username":"u","sasl_plain_password":"` + canary + `"}`,
		"another setting":   `{"ssl_password":"` + canary + `","linger_ms":"` + canary + `"}`,
		"cut off":           `{"sasl_plain_password":"` + canary,
		"no object":         `"` + canary + `"`,
		"no JSON":           canary,
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "settings.json")
		profiles := filepath.Join(dir, "kafkaesk", "config.json")
		if err := os.MkdirAll(filepath.Dir(profiles), 0o700); err != nil {
			t.Fatal(err)
		}
		profile := fmt.Sprintf(`{"profiles":{"p":{"kafka-servers":%q,"kafka-settings":%s}}}`,
			b.cluster.Servers()[0], settings)
		for path, text := range map[string]string{file: settings, profiles: profile} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		servers := strings.Join(b.cluster.Servers(), ",")
		for way, run := range map[string]struct {
			args []string
			env  map[string]string
		}{
			"the flag":        {args: []string{"-b", servers, "--kafka-settings", settings}},
			"a file":          {args: []string{"-b", servers, "--kafka-settings", "@" + file}},
			"the environment": {args: []string{"-b", servers}, env: map[string]string{"KAFKAESK_KAFKA_SETTINGS": settings}},
			"a profile":       {args: []string{"--profile", "p"}, env: map[string]string{"XDG_CONFIG_HOME": dir}},
			"wrong flags":     {args: []string{"-b", servers, "--kafka-settings", settings, "--from", "nowhere"}},
			"the streams":     {args: []string{"-b", servers, "--kafka-settings", settings, "--streams"}},
		} {
			t.Run(name+", by "+way, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				var out, errors bytes.Buffer
				code := Run(ctx, append(run.args, "--no-follow", "logs.*"), streams{&out, &errors, func(name string) string {
					return run.env[name]
				}})
				if printed := out.String() + errors.String(); strings.Contains(printed, canary) {
					t.Errorf("exit %d, and printed: %s", code, printed)
				}
				if code == exitOK || errors.Len() == 0 {
					t.Errorf("exit %d without an error: %s", code, &errors)
				}
			})
		}
	}
}
