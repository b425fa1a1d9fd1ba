package main

import (
	"go/format"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// planOf resolves a target of a module, whose directory stands in front of it when it begins with a dot.
func planOf(t *testing.T, dir, arg string, flags ...string) (*plan, error) {
	t.Helper()
	if strings.HasPrefix(arg, ".") {
		arg = dir + arg[1:]
	}
	parsed, err := parseTarget(arg)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.dir == "" {
		parsed.dir = dir
	}
	g, err := newGoCommand(parsed.dir, flags, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return resolve(t.Context(), parsed, g)
}

const forms = `package forms

import (
	"context"
	"errors"

	"github.com/kafkaesk/kafkaesk/bus"
)

type (
	Alias = bus.App
	Type  struct{ A int }
	Fake  struct{}
	Make  func() *bus.App
)

const Const = "App"

var (
	App          = &bus.App{Name: "App"}
	Aliased      *Alias = &bus.App{Name: "Aliased"}
	FuncVar      = func() *bus.App { return &bus.App{Name: "FuncVar"} }
	Named   Make = func() *bus.App { return &bus.App{Name: "Named"} }
	Router       = &bus.Router{Name: "Router"}
	Value        bus.App
	Other        *Fake
	Any          any = App
)

func Func() *bus.App                     { return &bus.App{Name: "Func"} }
func FuncErr() (*bus.App, error)         { return &bus.App{Name: "FuncErr"}, nil }
func Failing() (*bus.App, error)         { return nil, errors.New("no database") }
func RouterFunc() *bus.Router            { return &bus.Router{Name: "RouterFunc"} }
func RouterErr() (*bus.Router, error)    { return &bus.Router{Name: "RouterErr"}, nil }
func RouterFailing() (*bus.Router, error) { return nil, errors.New("no routes") }

func Parameters(ctx context.Context) *bus.App    { return nil }
func Generic[T any]() *bus.App                   { return nil }
func Three() (*bus.App, *bus.Router, error)      { return nil, nil, nil }
func Stop() (*bus.App, func())                   { return nil, nil }
func Nothing()                                   {}
`

func TestSymbolsThatRun(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"forms/forms.go": forms})
	tests := []struct {
		symbol string
		want   said
	}{
		{symbol: "App", want: said{stdout: "worker of App [a --help]\n"}},
		{symbol: "Aliased", want: said{stdout: "worker of Aliased [a --help]\n"}},
		{symbol: "FuncVar", want: said{stdout: "worker of FuncVar [a --help]\n"}},
		{symbol: "Named", want: said{stdout: "worker of Named [a --help]\n"}},
		{symbol: "Func", want: said{stdout: "worker of Func [a --help]\n"}},
		{symbol: "FuncErr", want: said{stdout: "worker of FuncErr [a --help]\n"}},
		{symbol: "Failing", want: said{code: 1, stderr: "example.com/m/forms.Failing: no database\n"}},
		{symbol: "Router", want: said{stdout: "worker of mounted Router [a --help]\n"}},
		{symbol: "RouterFunc", want: said{stdout: "worker of mounted RouterFunc [a --help]\n"}},
		{symbol: "RouterErr", want: said{stdout: "worker of mounted RouterErr [a --help]\n"}},
		{symbol: "RouterFailing", want: said{code: 1, stderr: "example.com/m/forms.RouterFailing: no routes\n"}},
	}
	before := snapshot(t, dir)
	t.Run("run", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.symbol, func(t *testing.T) {
				t.Parallel()
				p, err := planOf(t, dir, "./forms:"+tt.symbol)
				if err != nil {
					t.Fatal(err)
				}
				if formatted, err := format.Source(p.main); err != nil || string(formatted) != string(p.main) {
					t.Errorf("the main is not formatted (%v):\n%s", err, p.main)
				}
				if got := kafkaesk(t, dir, nil, "./forms:"+tt.symbol, "a", "--help"); got != tt.want {
					t.Errorf("got  %+v\nwant %+v", got, tt.want)
				}
			})
		}
	})
	sameFiles(t, before, snapshot(t, dir))
}

// sameFiles fails unless nothing has changed.
func sameFiles(t *testing.T, before, after files) {
	t.Helper()
	for name, text := range after {
		if old, ok := before[name]; !ok || old != text {
			t.Errorf("%s was written", name)
		}
	}
	if len(after) < len(before) {
		t.Error("files were removed")
	}
}

func TestTargetsThatDoNotRun(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{
		"forms/forms.go":                      forms,
		"empty/empty.go":                      "package empty\n",
		"docs/readme.txt":                     "",
		"broken/a.go":                         "package broken\n\nvar App = missing\n",
		"syntax/a.go":                         "package syntax\n\nvar = 1\n",
		"uses/a.go":                           "package uses\n\nimport _ \"example.com/m/broken\"\n",
		"prog/main.go":                        "package main\n\nfunc main() {}\n",
		"tagged/a.go":                         "//go:build special\n\n" + app("tagged", "tagged"),
		"taken/a.go":                          app("taken", "taken"),
		"taken/kafkaesk_worker_main/keep.txt": "",
		"own/app.go": "package own\n\nimport \"context\"\n\ntype App struct{}\n\nfunc (App) " +
			"Run(context.Context) {}\n\nvar Mine = new(App)\n",
	})
	// A module that does not require this one.
	files{"go.mod": "module example.com/alone\n\ngo 1.26.0\n", "a.go": "package alone\n\nvar App = 1\n",
		"uses/a.go": app("uses", "uses")}.write(t, filepath.Join(dir, "alone"))
	// One that requires the stand-in, which requires a module that nothing provides the checksum of.
	files{
		"go.mod": "module example.com/unsummed\n\ngo 1.26.0\n\nrequire (\n\tgithub.com/kafkaesk/kafkaesk " +
			"v0.0.0\n\tgithub.com/google/go-cmp v0.7.0\n)\n\nreplace github.com/kafkaesk/kafkaesk => ./kafkaesk\n",
		"a.go": app("unsummed", "unsummed"),
	}.write(t, filepath.Join(dir, "unsummed"))
	unsummed := standIn()
	unsummed["go.mod"] += "\nrequire github.com/google/go-cmp v0.7.0\n"
	unsummed["bus/worker/cmp.go"] = "package worker\n\nimport _ \"github.com/google/go-cmp/cmp\"\n"
	unsummed.write(t, filepath.Join(dir, "unsummed", "kafkaesk"))

	tests := []struct {
		target string
		want   []string
	}{
		{target: "./forms:Missing",
			want: []string{"package example.com/m/forms has no Missing; it has Aliased, App, Failing,", "var Missing *bus.App",
				"func Missing() (*bus.App, error)"}},
		{target: "./empty", want: []string{"package example.com/m/empty has no App\n", "var App *bus.App"}},
		{target: "./forms:Parameters", want: []string{"func Parameters(ctx context.Context) *bus.App",
			"func Parameters() *bus.App"}},
		{target: "./forms:Generic", want: []string{"func Generic[T any]() *bus.App"}},
		{target: "./forms:Three", want: []string{"func Three() (*bus.App, *bus.Router, error)"}},
		{target: "./forms:Stop", want: []string{"func Stop() (*bus.App, func())"}},
		{target: "./forms:Nothing", want: []string{"func Nothing()"}},
		{target: "./forms:Type", want: []string{"type Type struct{A int}"}},
		{target: "./forms:Const", want: []string{"const Const untyped string"}},
		{target: "./forms:Value", want: []string{"var Value bus.App", "var Value *bus.App"}},
		{target: "./forms:Other", want: []string{"var Other *Fake"}},
		{target: "./forms:Any", want: []string{"var Any any"}},
		{target: "./own:Mine", want: []string{"var Mine *App"}},
		{target: "./docs", want: []string{"no Go files in"}},
		{target: "./broken", want: []string{"a.go:3:11: undefined: missing"}},
		{target: "./syntax", want: []string{"a.go:3:5: syntax error"}},
		{target: "./uses", want: []string{"a.go:3:11: undefined: missing"}},
		{target: "./prog:App", want: []string{"package main", "prog, or move App into a package of its own"}},
		{target: "./tagged", want: []string{"build constraints exclude all Go files"}},
		{target: "./taken", want: []string{filepath.Join(dir, "taken", "kafkaesk_worker_main") + " exists"}},
		{target: "example.com/m/missing:App", want: []string{"example.com/m/missing"}},
		{target: "github.com/kafkaesk/kafkaesk/bus:App", want: []string{"belongs to the module github.com/kafkaesk/kafkaesk",
			"worker.Main"}},
		{target: "net/http:App", want: []string{"a package of the standard library"}},
		{target: "./alone", want: []string{"the module example.com/alone does not require kafkaesk",
			filepath.Join(dir, "alone") + ",\n\n\tgo get github.com/kafkaesk/kafkaesk/bus/worker"}},
		{target: "./alone/uses", want: []string{"go get github.com/kafkaesk/kafkaesk/bus/worker"}},
		{target: "./unsummed", want: []string{"missing go.sum entry", "go mod edit -tool=" + commandPath +
			"\n\tgo mod tidy"}},
	}
	before := snapshot(t, dir)
	t.Run("resolve", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.target, func(t *testing.T) {
				t.Parallel()
				_, err := planOf(t, dir, tt.target)
				if err == nil {
					t.Fatal("no error")
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error has no %q: %v", want, err)
					}
				}
			})
		}
	})
	sameFiles(t, before, snapshot(t, dir))
}

func TestOutsideOfAModule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files{"pkg/a.go": "package pkg\n"}.write(t, dir)
	if _, err := planOf(t, dir, "./pkg"); err == nil || !strings.Contains(err.Error(), "go.mod file not found") {
		t.Errorf("%v, want the go command's error", err)
	}
}

func TestExportDataOfANewerGo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, []byte("!<arch>\nnothing that this Go could read"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := exported(&listed{ImportPath: "example.com/m", Export: file})
	if err == nil || !strings.Contains(err.Error(), "reading the types of example.com/m") {
		t.Errorf("error %v", err)
	}
	dir := newModule(t, files{"a.go": app("m", "m")})
	p, err := planOf(t, dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(p.pkg.Export)
	if err != nil {
		t.Fatal(err)
	}
	// What comes behind the marker "u" of the unified format is its version, in four bytes.
	at := strings.Index(string(data), "$$B\nu")
	if at < 0 {
		t.Fatal("the export data has another form than this test knows")
	}
	data[at+len("$$B\nu")] = 200
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = exported(&listed{ImportPath: "example.com/m", Export: file})
	if err == nil || !strings.Contains(err.Error(), "kafkaesk was built with "+runtime.Version()) {
		t.Errorf("error %v, want it to tell what to do", err)
	}
}

func TestNameOfAProgram(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"example.com/m/orders": "orders", "example.com/m/v2": "m", "m": "m", "v2": "v2", "example.com/v2/app": "app",
		"example.com/m/v2x": "v2x",
	} {
		if got := (&plan{pkg: &listed{ImportPath: path}}).name(); got != want {
			t.Errorf("%s is called %s, want %s", path, got, want)
		}
	}
}
