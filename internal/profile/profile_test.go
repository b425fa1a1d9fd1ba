package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamed(t *testing.T) {
	t.Parallel()
	path := write(t,
		`{"profiles":{"prod":{"kafka-servers":"a:1,b:2","topic-prefix":"p.",
		"kafka-settings":{"sasl_plain_password":"hunter2"}},
		"file":{"kafka-servers":"a:1","kafka-settings":"@/etc/settings.json"}}}`, 0o600)
	for name, want := range map[string]map[string]string{
		"prod": {"kafka-servers": "a:1,b:2", "topic-prefix": "p.", "kafka-settings": `{"sasl_plain_password":"hunter2"}`},
		"file": {"kafka-servers": "a:1", "topic-prefix": "", "kafka-settings": "@/etc/settings.json"},
	} {
		p, err := Named(path, name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, p.Flags()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := Named(path, "test"); err == nil || !strings.Contains(err.Error(), "which has: file, prod") {
		t.Errorf("an unknown profile: %v", err)
	}
	if _, err := Named(path+".not", "prod"); err == nil || !strings.Contains(err.Error(), "there is no "+path) {
		t.Errorf("no file: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"a password that others can read": {`{"profiles":{"p":{"kafka-settings":{"sasl_plain_password":"hunter2"}}}}`, 0o640,
			"chmod 600"},
		"an unknown name": {`{"profiles":{"p":{"server":"a:1"}}}`, 0o600, "kafka-servers"},
		"no JSON":         {`{"profiles":{"p":{"kafka-servers":hunter2}}}`, 0o600, "not JSON at byte"},
		"another type":    {`{"profiles":{"p":{"kafka-servers":["hunter2"]}}}`, 0o600, "is a JSON array"},
	} {
		_, err := Read(write(t, test.text, test.mode))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(write(t, `{"profiles":{"p":{"kafka-servers":"a:1"}}}`, 0o644)); err != nil {
		t.Errorf("a file without a password: %v", err)
	}
}
