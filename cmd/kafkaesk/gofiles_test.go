package main

import (
	"archive/zip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// newProxy makes a Go module proxy of files that has the module example.com/dep, whose Name is "dep", and returns the
// environment that uses it.
func newProxy(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	const gomod = "module example.com/dep\n\ngo 1.26.0\n"
	files{"example.com/dep/@v/list": "v1.0.0\n", "example.com/dep/@v/v1.0.0.info": `{"Version":"v1.0.0"}`,
		"example.com/dep/@v/v1.0.0.mod": gomod}.write(t, dir)
	f, err := os.Create(filepath.Join(dir, "example.com", "dep", "@v", "v1.0.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range map[string]string{"go.mod": gomod, "dep.go": "package dep\n\nconst Name = \"dep\"\n"} {
		w, err := z.Create("example.com/dep@v1.0.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return []string{"GOPROXY=file://" + filepath.ToSlash(dir), "GOSUMDB=off", "GOMODCACHE=" + t.TempDir(),
		"GOTOOLCHAIN=local"}
}

const usesDep = "package pkg\n\nimport (\n\t\"example.com/dep\"\n\n\t\"github.com/kafkaesk/kafkaesk/bus\"\n)\n\nvar " +
	"App = &bus.App{Name: dep.Name}\n"

// The go command would write go.mod and go.sum with -mod=mod, and go.work.sum in a workspace. It does neither here, and
// the program is built.
func TestTheTreeStaysAsItWas(t *testing.T) {
	t.Parallel()
	const workspace = "go 1.26.0\n\nuse (\n\t./a // a comment\n\t./kafkaesk\n)\n\nreplace example.com/local => ./local\n"
	tests := []struct {
		name    string
		goflags string
		in      string // where kafkaesk runs, below the directory of the tree
		target  string
		tree    files // beside the stand-in
		want    string
	}{
		{name: "-mod=mod of a module that is not tidy", goflags: "-mod=mod", in: "m", target: "./pkg",
			tree: files{"m/pkg/a.go": usesDep}, want: "dep"},
		{name: "-mod=mod with -modfile", goflags: "-mod=mod '-modfile=../../other dir/other.mod'", in: "m",
			target: "./pkg", want: "dep",
			tree: files{"m/pkg/a.go": usesDep, "m/go.mod": "module example.com/m\n\ngo 1.26.0\n",
				"other dir/other.mod": "module example.com/m\n\ngo 1.26.0\n\nrequire github.com/kafkaesk/kafkaesk " +
					"v0.0.0\n\nreplace github.com/kafkaesk/kafkaesk => ../kafkaesk\n"}},
		{name: "a workspace without go.work.sum", target: "./a/pkg", want: "dep",
			tree: files{"go.work": workspace, "a/pkg/a.go": usesDep,
				"a/go.mod": "module example.com/a\n\ngo 1.26.0\n\nrequire example.com/dep v1.0.0\n"}},
		{name: "a workspace that replaces a module by a directory", target: "./a/pkg", want: "local",
			tree: files{"go.work": workspace,
				"a/pkg/a.go": strings.ReplaceAll(usesDep, "dep", "local"), "a/go.mod": "module example.com/a\n\ngo " +
					"1.26.0\n\nrequire example.com/local v1.0.0\n",
				"local/go.mod": "module example.com/local\n\ngo 1.26.0\n", "local/local.go": "package local\n\nconst Name = " +
					"\"local\"\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			module := newModule(t, nil)
			dir := filepath.Dir(module)
			tt.tree.write(t, dir)
			temp := t.TempDir()
			env := append(newProxy(t), "GOFLAGS=-modcacherw "+tt.goflags, "XDG_CACHE_HOME="+t.TempDir(), "TMPDIR="+temp)
			before := snapshot(t, dir)
			for _, args := range [][]string{{tt.target}, {"build", tt.target, "-o", filepath.Join(t.TempDir(), "program")}} {
				got := kafkaesk(t, filepath.Join(dir, tt.in), env, args...)
				if want := "worker of " + tt.want + " []\n"; got.code != cli.OK || args[0] != "build" && got.stdout != want {
					t.Errorf("%q: %+v, want %q", args, got, want)
				}
			}
			sameFiles(t, before, snapshot(t, dir))
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("%v is left in the temporary directory: %v", left, err)
			}
		})
	}
}

// An overlay of the user's counts, wherever it is given.
func TestOverlaysAreMerged(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "on the disk"), "other/a.go": app("pkg", "overlaid"),
		"broken.json": "{"})
	files{"overlay.json": `{"Replace":{"pkg/a.go":` + quoteJSON(filepath.Join(dir, "other", "a.go")) + `}}`}.write(t, dir)
	overlay := filepath.Join(dir, "overlay.json")
	built := filepath.Join(t.TempDir(), "program")
	for name, env := range map[string][]string{"absolute": {"GOFLAGS=-overlay=" + overlay},
		"quoted": {`GOFLAGS="-overlay=` + overlay + `" -v=false`}} {
		// by its path: the go command runs where the overlay's names begin
		cmd := command(t, dir, env, "example.com/m/pkg:App")
		if got := wait(t, cmd); got != (said{0, "worker of overlaid []\n", ""}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := kafkaesk(t, dir, nil, "build", "example.com/m/pkg:App", "-o", built, "--", "-overlay",
		"overlay.json"); got != (said{}) {
		t.Fatalf("%+v", got)
	}
	run := command(t, dir, nil)
	run.Path = built
	if got := wait(t, run); got.stdout != "worker of overlaid []\n" {
		t.Errorf("built: %+v", got)
	}
	if got := kafkaesk(t, dir, []string{"GOFLAGS=-overlay=" + filepath.Join(dir, "broken.json")},
		"./pkg"); got.code != cli.Failed || !strings.Contains(got.stderr, "overlay") {
		t.Errorf("an overlay that is broken: %+v", got)
	}
}

func quoteJSON(s string) string { return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"` }

// A program with coverage counts what the go command would count of a program with a main on the disk.
func TestBuildWithCoverage(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": "package pkg\n\nimport " +
		"(\n\t\"example.com/m/used\"\n\n\t\"github.com/kafkaesk/kafkaesk/bus\"\n)\n\nfunc App() *bus.App { return " +
		"&bus.App{Name: used.Name()} }\n", "used/a.go": "package used\n\nfunc Name() string { return \"used\" }\n"})
	all := []string{"example.com/m/pkg", "example.com/m/used"}
	tests := []struct {
		name  string
		env   []string
		flags []string
		want  []string // the packages that are counted
	}{
		{name: "-cover", flags: []string{"-cover"}, want: all},
		{name: "-covermode", flags: []string{"-covermode=atomic"}, want: all},
		{name: "-cover in GOFLAGS", env: []string{"GOFLAGS=-cover"}, want: all},
		{name: "-coverpkg", flags: []string{"-cover", "-coverpkg=./..."}, want: all[:1]}, // relative to the target
		{name: "-coverpkg by path", flags: []string{"-coverpkg", "example.com/m/used"}, want: all[1:]},
		{name: "-cover=false", flags: []string{"-cover", "-cover=false"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			counters, program := t.TempDir(), filepath.Join(t.TempDir(), "program")
			if got := kafkaesk(t, dir, tt.env, append([]string{"build", "./pkg:App", "-o", program, "--"},
				tt.flags...)...); got != (said{}) {
				t.Fatalf("%+v", got)
			}
			run := command(t, dir, []string{"GOCOVERDIR=" + counters})
			run.Path = program
			if got := wait(t, run); got.stdout != "worker of used []\n" {
				t.Fatalf("%+v", got)
			}
			if len(tt.want) == 0 {
				return
			}
			profile := filepath.Join(t.TempDir(), "profile")
			goRun(t, dir, "tool", "covdata", "textfmt", "-i="+counters, "-o="+profile)
			if report := goRun(t, dir, "tool", "cover", "-func="+profile); !strings.Contains(report, "100.0%") {
				t.Errorf("the report is %s", report)
			}
			text, err := os.ReadFile(profile)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(string(text)) {
				if file, _, ok := strings.Cut(line, ".go:"); ok {
					got = append(got, path.Dir(file))
				}
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, tt.want) {
				t.Errorf("counted are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSplitGoFlags(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][]string{
		"":                                  nil,
		" \t ":                              nil,
		"-v":                                {"-v"},
		"  -v \t-mod=mod ":                  {"-v", "-mod=mod"},
		`'-ldflags=-s -w' "-overlay=a b" x`: {"-ldflags=-s -w", "-overlay=a b", "x"},
		`-tags="a b"`:                       {`-tags="a`, `b"`}, // a quote inside means nothing
		`'-v`:                               {"-v"},
		`''`:                                {""},
	} {
		if got := splitGoFlags(given); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
