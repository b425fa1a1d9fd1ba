package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// files are a tree of files, by their names with slashes.
type files map[string]string

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range f {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot returns what is in a directory.
func snapshot(t testing.TB, dir string) files {
	t.Helper()
	f := make(files)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		f[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// standIn is a module that stands in for this one where a test is about the launcher only: its worker prints the App
// and its arguments, and ends with the App's exit code.
func standIn() files {
	return files{
		"go.mod": "module github.com/kafkaesk/kafkaesk\n\ngo 1.26.0\n",
		"bus/bus.go": `package bus

type App struct {
	Name string
	Code int
}

type Config struct{}

type Router struct{ Name string }

func New(Config) *App { return new(App) }

func (a *App) Mount(r *Router) error {
	a.Name = "mounted " + r.Name
	return nil
}
`,
		"bus/worker/worker.go": `package worker

import (
	"fmt"
	"os"

	"github.com/kafkaesk/kafkaesk/bus"
)

func Main(app *bus.App) {
	fmt.Println("worker of", app.Name, os.Args[1:])
	os.Exit(app.Code)
}
`,
	}
}

// newModule makes the module example.com/m, which requires the stand-in, and returns its directory.
func newModule(t *testing.T, f files) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "m")
	stand := filepath.Join(filepath.Dir(dir), "kafkaesk")
	standIn().write(t, stand)
	files{"go.mod": "module example.com/m\n\ngo 1.26.0\n\nrequire github.com/kafkaesk/kafkaesk v0.0.0\n\nreplace " +
		"github.com/kafkaesk/kafkaesk => ../kafkaesk\n"}.write(t, dir)
	f.write(t, dir)
	return dir
}

// app is a package with an App of that name.
func app(pkg, name string) string {
	return "package " + pkg + "\n\nimport \"github.com/kafkaesk/kafkaesk/bus\"\n\nvar App = &bus.App{Name: \"" +
		name + "\"}\n"
}

// said is what a process said, and how it ended.
type said struct {
	code           int
	stdout, stderr string
}

// kafkaesk runs the program in a directory, with a cache of the test's own.
func kafkaesk(t *testing.T, dir string, env []string, args ...string) said {
	t.Helper()
	return wait(t, command(t, dir, env, args...))
}

// command is the program as a process, with a cache of the test's own: one in the directory above dir.
func command(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Getenv(programEnv), args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOCACHE="+goEnv(t, "GOCACHE"), "XDG_CACHE_HOME="+cacheOf(dir)), env...)
	return cmd
}

func cacheOf(dir string) string { return filepath.Join(filepath.Dir(dir), "cache") }

func wait(t *testing.T, cmd *exec.Cmd) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), stdout.String(), withoutAnnouncement(stderr.String())}
}

// withoutAnnouncement leaves out that something is being built, which depends on how busy the machine is.
func withoutAnnouncement(stderr string) string {
	return announcement.ReplaceAllString(stderr, "")
}

var announcement = regexp.MustCompile(`(?m)^kafkaesk: building \S+\n`)

// goRun runs the go command.
func goRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(goRun(t, ".", "env", name))
}
