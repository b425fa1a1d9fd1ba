package cmdtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Run runs a command in the process, and returns its exit code.
type Run func(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) (code int)

// NeverPrintsSecrets checks each command with settings that have a password, right and wrong ones, in each way to give
// them: it must fail and say why, without the password.
func NeverPrintsSecrets(t *testing.T, servers []string, commands []string, run Run) {
	t.Helper()
	const canary = "c4nary-s3cret"
	brokers := strings.Join(servers, ",")
	for name, settings := range map[string]string{
		"right": `{"security_protocol":"SASL_PLAINTEXT","sasl_plain_username":"u",` +
			`"sasl_plain_password":"CANARY"}`,
		"a misspelt name":   `{"sasl_plain_pasword":"CANARY"}`,
		"another type":      `{"sasl_plain_password":["CANARY"]}`,
		"a wrong mechanism": `{"sasl_mechanism":"X","sasl_plain_username":"u","sasl_plain_password":"CANARY"}`,
		"another setting":   `{"ssl_password":"CANARY","linger_ms":"CANARY"}`,
		"cut off":           `{"sasl_plain_password":"CANARY`,
		"no object":         `"CANARY"`,
		"no JSON":           `CANARY`,
	} {
		settings = strings.ReplaceAll(settings, "CANARY", canary)
		dir := t.TempDir()
		file := filepath.Join(dir, "settings.json")
		profiles := filepath.Join(dir, "kafkaesk", "config.json")
		if err := os.MkdirAll(filepath.Dir(profiles), 0o700); err != nil {
			t.Fatal(err)
		}
		profile := fmt.Sprintf(`{"profiles":{"p":{"kafka-servers":%q,"kafka-settings":%s}}}`, brokers, settings)
		for path, text := range map[string]string{file: settings, profiles: profile} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for way, given := range map[string]struct {
			args []string
			env  map[string]string
		}{
			"the flag":        {args: []string{"-b", brokers, "--kafka-settings", settings}},
			"a file":          {args: []string{"-b", brokers, "--kafka-settings", "@" + file}},
			"the environment": {args: []string{"-b", brokers}, env: map[string]string{"KAFKAESK_KAFKA_SETTINGS": settings}},
			"a profile":       {args: []string{"--profile", "p"}, env: map[string]string{"XDG_CONFIG_HOME": dir}},
		} {
			for _, command := range commands {
				t.Run(command+", "+name+", by "+way, func(t *testing.T) {
					t.Parallel()
					var out, errs bytes.Buffer
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					code := run(ctx, append(strings.Fields(command), given.args...),
						func(name string) string { return given.env[name] }, &out, &errs)
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
