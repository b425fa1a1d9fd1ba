package cliflags_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

func TestContents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct {
		name    string
		content string
		mode    os.FileMode
		warned  bool
	}{
		{name: "private", content: `{"sasl_plain_password":"secret"}`, mode: 0o600},
		{name: "read only", content: `{"sasl_plain_password":"secret"}`, mode: 0o400},
		{name: "its group can read it", content: `{"ssl_password":"secret"}`, mode: 0o640, warned: true},
		{name: "all can read it", content: `{"sasl_plain_password":"secret"}`, mode: 0o604, warned: true},
		{name: "without a password", content: `{"linger_ms":1}`, mode: 0o644},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, tt.name)
			if err := os.WriteFile(file, []byte("\n"+tt.content+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
			text, warning, err := cliflags.Contents("@" + file)
			if text != tt.content || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
			if (warning != "") != tt.warned || strings.Contains(warning, "secret") || tt.warned &&
				!strings.Contains(warning, file+" has a password, and its mode") {
				t.Errorf("warning %q", warning)
			}
		})
	}
	if text, warning, err := cliflags.Contents(`{"a":1}`); text != `{"a":1}` || warning != "" || err != nil {
		t.Errorf("no file: %q, %q, %v", text, warning, err)
	}
	if _, _, err := cliflags.Contents("@" + filepath.Join(dir, "missing")); err == nil {
		t.Error("a file that is missing has contents")
	}
}
