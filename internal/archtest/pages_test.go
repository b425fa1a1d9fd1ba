package archtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	goBlock   = regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	anyBlock  = regexp.MustCompile("(?ms)^```.*?^```")
	pageLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// pages returns the documentation by its files' names, relative to the root of the module.
func pages(t *testing.T, root string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return texts
}

// The Go code of the README and of docs/ compiles as it stands. A block that begins with `package` is
// a program of its own. The other blocks of a page make one package: declarations stand at its top, and each block of
// statements is the body of a function that has a context, an App and an error. What a page needs and does not show
// stands in a block within an HTML comment.
func TestPagesShowCodeThatCompiles(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string) // by their directories
	for name, text := range pages(t, root) {
		if name != "README.md" && !strings.HasPrefix(name, "docs/") {
			continue
		}
		dir := "internal/" + strings.NewReplacer("/", "_", ".", "_").Replace(strings.ToLower(name))
		var fragments []string
		for i, block := range goBlock.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(block[1], "package ") {
				files[fmt.Sprint(dir, i)] = block[1]
			} else {
				fragments = append(fragments, block[1])
			}
		}
		if len(fragments) > 0 {
			files[dir] = packageOf(fragments)
		}
	}
	if len(files) < 3 {
		t.Fatalf("%d packages of code were found: has the form of the pages changed?", len(files))
	}
	compile(t, root, files)
}

// importOf has the packages that fragments may use without an import.
var importOf = map[string]string{
	"bus": module + "/bus", "bustest": module + "/bus/bustest", "worker": module + "/bus/worker",
	"monitor": module + "/bus/monitor", "slogkafka": module + "/slogkafka", "logrecord": module + "/logrecord",
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log",
	"os": "os", "slog": "log/slog",
	"testing": "testing", "time": "time", "tls": "crypto/tls",
}

// packageOf makes a file of fragments of code.
func packageOf(fragments []string) string {
	var body strings.Builder
	for _, f := range fragments {
		if regexp.MustCompile(`^(//.*\n)*(type|func|var|const) `).MatchString(f) {
			body.WriteString(f)
		} else {
			fmt.Fprintf(&body, "func _(ctx context.Context, app *bus.App, err error) {\n{\n%s}\n}\n", f)
		}
	}
	var imports strings.Builder
	for _, name := range slices.Sorted(maps.Keys(importOf)) {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(body.String()) {
			fmt.Fprintf(&imports, "import %q\n", importOf[name])
		}
	}
	return "package page\n\n" + imports.String() + body.String()
}

// compile compiles files as packages of this module, by their directories, without writing them into the tree.
func compile(t *testing.T, root string, files map[string]string) {
	t.Helper()
	temp := t.TempDir()
	replace := make(map[string]string)
	args := []string{"build", "-overlay", filepath.Join(temp, "overlay.json")}
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		source := filepath.Join(temp, filepath.Base(dir)+".go")
		if err := os.WriteFile(source, []byte(files[dir]), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(dir), "page.go")] = source
		args = append(args, "./"+dir)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(args[2], overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("compile the code of the pages: %v\n%s", err, out)
	}
}

// Each relative link of the documentation leads to a file, and each anchor to a heading of it.
func TestPagesLinkToWhatExists(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	texts := pages(t, root)
	for name, text := range texts {
		for _, match := range pageLink.FindAllStringSubmatch(anyBlock.ReplaceAllString(text, ""), -1) {
			link := match[1]
			if strings.Contains(link, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), filepath.FromSlash(file)))
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", name, link, err)
			} else if anchor != "" && !anchors(texts[target])[anchor] {
				t.Errorf("%s links to %s, but %s has no such heading", name, link, target)
			}
		}
	}
}

// anchors returns the anchors that GitHub gives the headings of a page.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, match := range heading.FindAllStringSubmatch(anyBlock.ReplaceAllString(text, ""), -1) {
		all[strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-")] = true
	}
	return all
}
