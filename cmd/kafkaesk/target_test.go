package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestLooksLikeTarget(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]bool{
		"./pkg": true, "pkg:App": true, "example.com/m/pkg": true, ".": true, "..": true, `.\pkg`: true, ":App": true,
		"broker": false, "brker": false, "pkg.sub": false, "": false,
	} {
		if looksLikeTarget(arg) != want {
			t.Errorf("%q is a target: %v, want %v", arg, !want, want)
		}
	}
}

// Not parallel: it changes the directory.
func TestParseTarget(t *testing.T) {
	dir := t.TempDir()
	files{"pkg/sub/a.go": "", "example/com/a.go": "", "file": ""}.write(t, dir)
	t.Chdir(dir)
	absolute := filepath.Join(dir, "pkg")
	tests := []struct {
		arg  string
		want target // without given
		err  string
	}{
		{arg: "./pkg:App", want: target{dir: "./pkg", pattern: ".", symbol: "App"}},
		{arg: "./pkg", want: target{dir: "./pkg", pattern: "."}},
		{arg: ".:Worker", want: target{dir: ".", pattern: ".", symbol: "Worker"}},
		{arg: ".", want: target{dir: ".", pattern: "."}},
		{arg: "..", want: target{dir: "..", pattern: "."}},
		{arg: absolute + ":App", want: target{dir: absolute, pattern: ".", symbol: "App"}},
		{arg: "example.com/m/pkg:App", want: target{pattern: "example.com/m/pkg", symbol: "App"}},
		{arg: "example.com/m/pkg", want: target{pattern: "example.com/m/pkg"}},
		{arg: "pkg:App", want: target{dir: "pkg", pattern: ".", symbol: "App"}},
		{arg: "pkg.sub:App", want: target{dir: filepath.Join("pkg", "sub"), pattern: ".", symbol: "App"}},
		{arg: "module:App", want: target{pattern: "module", symbol: "App"}},
		{arg: "example.org:App", want: target{pattern: "example.org", symbol: "App"}},
		{arg: "pkg:Ärger", want: target{dir: "pkg", pattern: ".", symbol: "Ärger"}},
		{arg: "./pkg:", err: "write ./pkg:App"},
		{arg: ":App", err: "has no package"},
		{arg: "./pkg:app", err: "capital letter"},
		{arg: "./pkg:App.Method", err: "not the name of a Go variable"},
		{arg: "./pkg:func", err: "not the name of a Go variable"},
		{arg: "./...:App", err: "name one"},
		{arg: "example.com/...", err: "name one"},
		{arg: "./nowhere:App", err: "no directory ./nowhere"},
		{arg: "./file:App", err: "no directory"},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			got, err := parseTarget(tt.arg)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%+v, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if tt.want.given = tt.arg; err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}
