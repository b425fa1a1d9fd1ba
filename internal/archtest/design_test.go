package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	fileInSpan = regexp.MustCompile(`^[\w/]+\.go$`)
	funcInSpan = regexp.MustCompile(`^([\w/]+\.go): ([\w.]+)$`)
	testInText = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
)

// The functions that DESIGN.md names as `file.go: Func` or `file.go: Type.Method`, and the files that it names with
// their directories, are there.
func TestDesignNamesFunctionsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions := 0
	for _, match := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		span := match[1]
		if named := funcInSpan.FindStringSubmatch(span); named != nil {
			functions++
			if !functionsOf(t, filepath.Join(root, filepath.FromSlash(named[1])))[named[2]] {
				t.Errorf("DESIGN.md names `%s`, but the file does not have it: name the function that does this now", span)
			}
		} else if fileInSpan.MatchString(span) && strings.Contains(span, "/") {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(span))); err != nil {
				t.Errorf("DESIGN.md names the file %s: %v", span, err)
			}
		}
	}
	if functions == 0 {
		t.Error("DESIGN.md names no function")
	}
}

// functionsOf returns the functions of a file, with the names of their receivers; none when there is no such file.
func functionsOf(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("DESIGN.md names a file that cannot be read: %v", err)
		return nil
	}
	names := make(map[string]bool)
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			name = receiver(f.Recv.List[0].Type) + "." + name
		}
		names[name] = true
	}
	return names
}

// receiver returns the name of a receiver's type, without * and type parameters.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// The tests that DESIGN.md names are there.
func TestDesignNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		code.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range testInText.FindAllString(string(text), -1) {
		if !strings.Contains(code.String(), "func "+name) {
			t.Errorf("DESIGN.md names %s, but no test has the name", name)
		}
	}
}
