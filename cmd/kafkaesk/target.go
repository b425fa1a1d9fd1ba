package main

import (
	"errors"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// target is what to run: a package and, behind a colon, an exported name in it.
type target struct {
	given   string // as the user wrote it
	dir     string // working directory of the go command; "" is the current one
	pattern string // the package, as a pattern of the go command in dir
	symbol  string // "" if none was given
}

// defaultSymbol is the default name.
const defaultSymbol = "App"

// looksLikeTarget distinguishes a target from a mistyped command: it contains a colon or a slash, or is a dot
// directory.
func looksLikeTarget(arg string) bool {
	return strings.ContainsAny(arg, `:/\`) || arg == "." || arg == ".."
}

// parseTarget parses ./dir:App, /dir:App, example.com/m/pkg:App, and Python's form pkg.sub:App for ./pkg/sub. It
// checks the directories to distinguish the last two.
func parseTarget(arg string) (target, error) {
	t := target{given: arg}
	path := arg
	if i := strings.LastIndexByte(arg, ':'); i >= 0 && !strings.ContainsAny(arg[i+1:], `/\`) {
		path, t.symbol = arg[:i], arg[i+1:]
		if err := checkSymbol(t); err != nil {
			return target{}, err
		}
	}
	switch dotted := filepath.Join(strings.Split(path, ".")...); {
	case path == "":
		return target{}, fmt.Errorf("%s has no package: write ./pkg:%[2]s, or .%[1]s for the package in this directory", arg,
			defaultSymbol)
	case strings.Contains(path, "..."):
		return target{}, fmt.Errorf("%s means many packages: name one", arg)
	case path == "." || path == ".." || filepath.IsAbs(path) || hasPrefix(path, "./", "../", `.\`, `..\`):
		t.dir, t.pattern = path, "."
	case !strings.ContainsAny(path, `/\`) && isDir(dotted):
		t.dir, t.pattern = dotted, "."
	default:
		t.pattern = path
		return t, nil
	}
	if !isDir(t.dir) {
		return target{}, fmt.Errorf("%s: no directory %s", arg, t.dir)
	}
	return t, nil
}

// checkSymbol validates the name behind the colon.
func checkSymbol(t target) error {
	switch {
	case t.symbol == "":
		return fmt.Errorf("%s: a name is missing behind the colon: write %[1]s%s", t.given, defaultSymbol)
	case !token.IsIdentifier(t.symbol):
		return fmt.Errorf("%s: %q is not the name of a Go variable or function", t.given, t.symbol)
	case !token.IsExported(t.symbol):
		return fmt.Errorf("%s: %s is not exported, so no other package sees it: begin its name with a capital letter",
			t.given, t.symbol)
	}
	return nil
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// missing reports whether no file has the name, not even a broken link.
func missing(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, os.ErrNotExist)
}
