package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/filelock"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestLaunch(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{
		"app.go":                                app("m", "the module's own package"),
		"pkg/sub/app.go":                        app("sub", "pkg/sub"),
		"internal/app/app.go":                   app("app", "internal"),
		"pkg/internal/deep/internal/app/app.go": app("app", "deeply internal"),
		"tagged/app.go":                         "//go:build special\n\n" + app("tagged", "tagged"),
		"nested/go.mod": "module example.com/nested\n\ngo 1.26.0\n\nrequire " +
			"github.com/kafkaesk/kafkaesk v0.0.0\n\nreplace github.com/kafkaesk/kafkaesk => ../../kafkaesk\n",
		"nested/app.go": app("nested", "a module in a directory of another"),
		"codes/app.go": "package codes\n\nimport \"github.com/kafkaesk/kafkaesk/bus\"\n\nvar App " +
			"= &bus.App{Name: \"codes\", Code: 42}\n",
		"nilapp/app.go": "package nilapp\n\nimport \"github.com/kafkaesk/kafkaesk/bus\"\n\nvar App " +
			"*bus.App\n",
		"cmd/prog/prog.go": "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() " +
			"{\n\tfmt.Println(\"as it is\", os.Args[1:])\n\tos.Exit(7)\n}\n",
	})
	tests := []struct {
		name   string
		in     string // the directory, below the module's
		env    []string
		args   []string
		code   int
		stdout string
	}{
		{name: "directory", args: []string{"./pkg/sub:App"}, stdout: "worker of pkg/sub []\n"},
		{name: "the name defaults to App", args: []string{"./pkg/sub", "-b", "x"}, stdout: "worker of pkg/sub [-b x]\n"},
		{name: "import path", args: []string{"example.com/m/pkg/sub:App"}, stdout: "worker of pkg/sub []\n"},
		{name: "as Python writes it", args: []string{"pkg.sub:App", "--kafka-servers=x"},
			stdout: "worker of pkg/sub [--kafka-servers=x]\n"},
		{name: "this directory", in: "pkg/sub", args: []string{".:App"}, stdout: "worker of pkg/sub []\n"},
		{name: "the module's root from below", in: "pkg/sub", args: []string{"../..:App", "a"},
			stdout: "worker of the module's own package [a]\n"},
		{name: "absolute directory", args: []string{filepath.Join(dir, "pkg", "sub") + ":App"},
			stdout: "worker of pkg/sub []\n"},
		{name: "internal", args: []string{"./internal/app"}, stdout: "worker of internal []\n"},
		{name: "deeply internal", args: []string{"./pkg/internal/deep/internal/app"},
			stdout: "worker of deeply internal []\n"},
		{name: "a nested module", args: []string{"./nested"}, stdout: "worker of a module in a directory of another []\n"},
		{name: "build tags", args: []string{"--tags", "other,special", "./tagged", "--tags"},
			stdout: "worker of tagged [--tags]\n"},
		{name: "build tags of GOFLAGS", env: []string{"GOFLAGS=-tags=special"}, args: []string{"./tagged"},
			stdout: "worker of tagged []\n"},
		{name: "exit code", args: []string{"./codes:App"}, code: 42, stdout: "worker of codes []\n"},
		{name: "package main", args: []string{"./cmd/prog", "a", "--help"}, code: 7, stdout: "as it is [a --help]\n"},
		{name: "subcommands behind the target are arguments", args: []string{"./pkg/sub", "broker", "--", "version"},
			stdout: "worker of pkg/sub [broker -- version]\n"},
	}
	before := snapshot(t, dir)
	t.Run("run", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				cmd := command(t, dir, tt.env, tt.args...)
				cmd.Dir = filepath.Join(dir, filepath.FromSlash(tt.in))
				if got := wait(t, cmd); got != (said{tt.code, tt.stdout, ""}) {
					t.Errorf("%+v, want exit code %d and %q", got, tt.code, tt.stdout)
				}
			})
		}
	})
	sameFiles(t, before, snapshot(t, dir))
}

// What is wrong with the code is told in the compiler's words, once.
func TestLaunchOfWhatDoesNotCompile(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": "package pkg\n\nvar App = missing\n"})
	got := kafkaesk(t, dir, nil, "./pkg")
	if got.code != cli.Failed || got.stdout != "" || strings.Count(got.stderr, "a.go:3:11: undefined: missing") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLaunchFollowsTheCode(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "one")})
	for _, name := range []string{"one", "two", "two", "three"} {
		files{"pkg/a.go": app("pkg", name)}.write(t, dir)
		if got, want := kafkaesk(t, dir, nil, "./pkg"), "worker of "+name+" []\n"; got.stdout != want {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	kept, err := filepath.Glob(filepath.Join(cacheOf(dir), "kafkaesk", "workers", "*", "pkg"))
	if err != nil || len(kept) != 1 {
		t.Errorf("the cache keeps %q, want one program: %v", kept, err)
	}
}

// Starts of one target at the same time, of code that changes: each is whole, and runs one state of the code.
func TestLaunchesAtOnce(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "one")})
	var starts sync.WaitGroup
	for i := range 6 {
		starts.Go(func() {
			if got := kafkaesk(t, dir, nil, "./pkg"); got != (said{0, "worker of one []\n", ""}) &&
				got != (said{0, "worker of two []\n", ""}) {
				t.Errorf("start %d: %+v", i, got)
			}
		})
	}
	// Renamed into place: a source that is half written is nobody's promise.
	files{"pkg/a.tmp": app("pkg", "two")}.write(t, dir)
	if err := os.Rename(filepath.Join(dir, "pkg", "a.tmp"), filepath.Join(dir, "pkg", "a.go")); err != nil {
		t.Error(err)
	}
	starts.Wait()
	if got := kafkaesk(t, dir, nil, "./pkg"); got.stdout != "worker of two []\n" {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestLaunchInAWorkspace(t *testing.T) {
	t.Parallel()
	dir := newModule(t, nil)
	files{
		"go.work":  "go 1.26.0\n\nuse (\n\t./a\n\t./b\n\t../kafkaesk\n)\n",
		"a/go.mod": "module example.com/a\n\ngo 1.26.0\n",
		"a/pkg/a.go": "package pkg\n\nimport (\n\t\"example.com/b\"\n\n\t\"github.com/kafkaesk/kafkaesk/bus\"\n)\n\nvar " +
			"App = &bus.App{Name: b.Name}\n",
		"b/go.mod":     "module example.com/b\n\ngo 1.26.0\n",
		"b/b.go":       "package b\n\nconst Name = \"b\"\n",
		"b/app/app.go": app("app", "b/app"),
	}.write(t, dir)
	before := snapshot(t, dir)
	for arg, want := range map[string]string{"./a/pkg:App": "b", "example.com/a/pkg:App": "b",
		"example.com/b/app:App": "b/app"} {
		cmd := command(t, dir, nil, arg)
		cmd.Dir = filepath.Join(dir, "b") // a module of the workspace; the target is in this one or the other
		if strings.HasPrefix(arg, ".") {
			cmd.Dir = dir
		}
		if got := wait(t, cmd); got != (said{0, "worker of " + want + " []\n", ""}) {
			t.Errorf("%s: %+v", arg, got)
		}
	}
	sameFiles(t, before, snapshot(t, dir))
}

func TestLaunchFromAVendorDirectory(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "vendored")})
	goRun(t, dir, "mod", "vendor")
	before := snapshot(t, dir)
	got := kafkaesk(t, dir, nil, "./pkg:App")
	if got.code != cli.Failed || !strings.Contains(got.stderr, "go mod vendor") ||
		!strings.Contains(got.stderr, "tools/tools.go") {
		t.Errorf("without the worker: %+v", got)
	}
	sameFiles(t, before, snapshot(t, dir))
	// What the message says to write.
	var tools []string
	for line := range strings.Lines(got.stderr) {
		if code, ok := strings.CutPrefix(line, "\t"); ok && !strings.HasPrefix(code, "go ") {
			tools = append(tools, code)
		}
	}
	files{"tools/tools.go": strings.Join(tools, "")}.write(t, dir)
	goRun(t, dir, "mod", "vendor")
	before = snapshot(t, dir)
	if got := kafkaesk(t, dir, nil, "./pkg:App"); got != (said{0, "worker of vendored []\n", ""}) {
		t.Errorf("with the worker: %+v\ntools.go is %q", got, tools)
	}
	sameFiles(t, before, snapshot(t, dir))
}

func TestLaunchWithoutGo(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg")})
	for _, args := range [][]string{{"./pkg:App"}, {"build", "./pkg:App"}} {
		got := kafkaesk(t, dir, []string{"PATH=" + t.TempDir()}, args...)
		if got.code != cli.Failed || !strings.Contains(got.stderr, "worker.Main") ||
			!strings.Contains(got.stderr, "kafkaesk build") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// A signal while Go builds ends the build, which gets the time to tidy up, and then kafkaesk.
func TestASignalEndsTheBuild(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg")})
	fake := t.TempDir()
	ready, tidied := filepath.Join(fake, "ready"), filepath.Join(fake, "tidied")
	script := "#!/bin/sh\ntrap 'echo > " + tidied + "; exit 1' INT\necho > " + ready + "\nwhile :; do sleep 0.05; done\n"
	if err := os.WriteFile(filepath.Join(fake, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, dir, []string{"PATH=" + fake + string(os.PathListSeparator) + os.Getenv("PATH")}, "./pkg:App")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "go is started", func() bool { return !missing(ready) })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != cli.Failed || !strings.Contains(stderr.String(), "signal") ||
		missing(tidied) {
		t.Errorf("exit code %d, stderr %q; go was told: %v", code, &stderr, !missing(tidied))
	}
}

func TestLaunchUsage(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg")})
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{name: "unknown flag in front", args: []string{"--nonsense", "./pkg:App"}, code: cli.Usage, stderr: "--nonsense"},
		{name: "no directory", args: []string{"./nowhere:App"}, code: cli.Usage, stderr: "no directory"},
		{name: "no command, no target", args: []string{"pkg"}, code: cli.Usage, stderr: `unknown command "pkg"`},
		{name: "help tells both ways", args: []string{"--help"}, stdout: "worker.Main(app)"},
		{name: "build without a target", args: []string{"build"}, code: cli.Usage, stderr: "give one target"},
		{name: "build with two", args: []string{"build", "./pkg", "./pkg"}, code: cli.Usage, stderr: "give one target"},
		{name: "build into a directory", args: []string{"build", "./pkg:App"}, code: cli.Usage,
			stderr: "pkg is a directory: name the program's file by -o"},
		{name: "build with flags that go does not know", args: []string{"build", "./pkg:App", "-o", "w", "--", "-nonsense"},
			code: cli.Failed, stderr: "-nonsense"},
		{name: "commands are completed", args: []string{"__complete", "b"}, stdout: "broker\t"},
		{name: "directories are completed", args: []string{"__complete", "./p"}, stdout: ":18\n"},
		{name: "a completion script", args: []string{"completion", "bash"}, stdout: "bash completion"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := kafkaesk(t, dir, nil, tt.args...)
			if got.code != tt.code || !strings.Contains(got.stdout, tt.stdout) || !strings.Contains(got.stderr, tt.stderr) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg"), "tagged/a.go": "//go:build special\n\n" +
		app("tagged", "tagged"),
		"cmd/prog/prog.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"as it is\") }\n"})
	out := t.TempDir()
	tests := []struct {
		name string
		in   string
		args []string
		file string // what is built
		want string
	}{
		{name: "named", args: []string{"./pkg:App", "-o", filepath.Join(out, "named")}, file: filepath.Join(out, "named"),
			want: "worker of pkg [x]\n"},
		{name: "relative", in: "pkg", args: []string{"-o", "../../relative", ".:App"},
			file: filepath.Join(dir, "..", "relative"), want: "worker of pkg [x]\n"},
		{name: "the package's name", in: "..", args: []string{"./m/pkg:App"}, file: filepath.Join(dir, "..", "pkg"),
			want: "worker of pkg [x]\n"},
		{name: "flags of go build", args: []string{"./tagged:App", "-o", filepath.Join(out, "flags"), "--", "-tags=special",
			"-ldflags=-s", "-trimpath"}, file: filepath.Join(out, "flags"), want: "worker of tagged [x]\n"},
		{name: "tags", args: []string{"./tagged:App", "-o", filepath.Join(out, "tags"), "--tags=special"},
			file: filepath.Join(out, "tags"), want: "worker of tagged [x]\n"},
		{name: "package main", args: []string{"./cmd/prog", "-o", filepath.Join(out, "prog")},
			file: filepath.Join(out, "prog"), want: "as it is\n"},
	}
	before := snapshot(t, dir)
	t.Run("build", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				temp := t.TempDir()
				cmd := command(t, dir, []string{"TMPDIR=" + temp}, append([]string{"build"}, tt.args...)...)
				cmd.Dir = filepath.Join(dir, tt.in)
				if got := wait(t, cmd); got != (said{}) {
					t.Fatalf("%+v", got)
				}
				built := command(t, dir, nil, "x")
				built.Path = tt.file
				if got := wait(t, built); got != (said{0, tt.want, ""}) {
					t.Errorf("%+v, want %q", got, tt.want)
				}
				if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
					t.Errorf("%v is left in the temporary directory: %v", left, err)
				}
			})
		}
	})
	sameFiles(t, before, snapshot(t, dir))
}

func TestCachePrunes(t *testing.T) {
	t.Parallel()
	c := cache{filepath.Join(t.TempDir(), "workers")}
	held := make(map[string]*entry)
	for _, key := range []string{"recent", "old", "old and starting"} {
		e, err := c.open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		files{"program": "", "main.go": ""}.write(t, e.dir)
		if strings.HasPrefix(key, "old") {
			then := time.Now().Add(-keepFor - time.Hour)
			if err := os.Chtimes(e.dir, then, then); err != nil {
				t.Fatal(err)
			}
		}
		held[key] = e
	}
	for _, key := range []string{"recent", "old"} {
		if err := held[key].close(); err != nil {
			t.Fatal(err)
		}
	}
	c.prune()
	for key, there := range map[string]bool{"recent": true, "old": false, "old and starting": true} {
		if isDir(held[key].dir) != there {
			t.Errorf("%s is kept: %v, want %v", key, !there, there)
		}
	}
	if err := held["old and starting"].close(); err != nil {
		t.Fatal(err)
	}
	again, err := c.open(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Try(again.dir + ".lock"); err == nil || again.dir != held["old"].dir {
		t.Errorf("%s is open, and not locked: %v", again.dir, err)
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
	cache{filepath.Join(t.TempDir(), "nowhere")}.prune()
}
