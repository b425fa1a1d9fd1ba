package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// What the README shows is code that is checked: a whole program is compiled and vetted here, and the lines of a
// fragment stand in the examples of package bus, which go test runs, and in those and the tests of bus/bustest.
func TestReadmeShowsCodeThatRuns(t *testing.T) {
	root := filepath.Join("..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var examples []byte
	for _, name := range []string{"bus/example_test.go", "bus/bustest/example_test.go", "bus/bustest/bustest_test.go"} {
		file, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, file...)
	}
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no code: has its form changed?")
	}
	programs := 0
	for _, block := range blocks {
		code := block[1]
		if strings.HasPrefix(code, "package main\n") {
			programs++
			vet(t, root, code)
			continue
		}
		for line := range strings.Lines(code) {
			if line = strings.TrimSpace(line); !strings.Contains(string(examples), line) {
				t.Errorf("no example of package bus or bustest has the README's line %q", line)
			}
		}
	}
	if programs == 0 {
		t.Error("the README shows no whole program")
	}
}

// vet compiles and vets a program as a package of this module, without writing it into the tree.
func vet(t *testing.T, root, code string) {
	t.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	virtual := filepath.Join(root, "internal") // a directory without a package of its own
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(virtual, "main.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{source: []byte(code), overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "vet", "-overlay", overlay, "./internal")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("vet the README's program: %v\n%s", err, out)
	}
}
