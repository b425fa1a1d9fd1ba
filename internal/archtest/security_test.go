package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testsOfAPackage = regexp.MustCompile("([a-z]+) (`(?:Test|Fuzz)[A-Za-z0-9]+`(?:, `(?:Test|Fuzz)[A-Za-z0-9]+`)*)")
	testName        = regexp.MustCompile(`(?:Test|Fuzz)[A-Za-z0-9]+`)
)

// The tests that SECURITY.md names as proof are there, in the packages that it names, and each line of what holds names
// one.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := strings.Fields(string(out))
	named := 0
	for _, match := range testsOfAPackage.FindAllStringSubmatch(string(text), -1) {
		code := testsIn(t, match[1], dirs)
		for _, name := range testName.FindAllString(match[2], -1) {
			named++
			if !strings.Contains(code, "func "+name+"(") {
				t.Errorf("package %s has no %s", match[1], name)
			}
		}
	}
	_, holds, _ := strings.Cut(string(text), "## What holds")
	lines := 0
	for line := range strings.Lines(holds) {
		if cells := strings.Split(line, "|"); len(cells) < 3 || strings.Contains(line, "what holds") ||
			strings.Contains(line, "---") {
			continue
		}
		if lines++; !testName.MatchString(line) {
			t.Errorf("no test proves the line %s", line)
		}
	}
	if lines < 20 {
		t.Errorf("%d lines of what holds were found", lines)
	}
	if all := len(testName.FindAllString(string(text), -1)); named != all || named == 0 {
		t.Errorf("%d tests were found behind a package's name, of %d", named, all)
	}
}

// testsIn returns the test files of the packages whose directory has the name.
func testsIn(t *testing.T, name string, dirs []string) string {
	t.Helper()
	var code strings.Builder
	for _, dir := range dirs {
		if filepath.Base(dir) != name {
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	return code.String()
}
