package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// goCommand runs the go command as its user would in that directory: with their GOFLAGS, workspace and vendor
// directory. After keepTree it changes nothing in their tree.
type goCommand struct {
	path     string
	dir      string
	flags    []string  // build flags, for list as for build
	allFlags []string  // the flags in GOFLAGS, and flags
	env      []string  // in addition to this process's environment
	stderr   io.Writer // receives the output of go build
}

// newGoCommand finds the go command.
func newGoCommand(dir string, flags []string, stderr io.Writer) (*goCommand, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("building the worker needs Go, and %w: where there is no Go, run a program whose main calls "+
			"worker.Main(app), or that `kafkaesk build` has made elsewhere", err)
	}
	return &goCommand{path: path, dir: dir, flags: flags, stderr: &lockedWriter{w: stderr}}, nil
}

// lockedWriter lets a build be announced while go build writes.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// announceAfter is how long a build may take without a word. Where nothing has changed it takes less.
const announceAfter = time.Second

// announce says that a target is being built, unless done is called soon. The first build may take half a minute.
func (g *goCommand) announce(target string) (done func()) {
	ended, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		timer := time.NewTimer(announceAfter)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			fmt.Fprintf(g.stderr, "kafkaesk: building %s\n", target)
		}
	}()
	return func() {
		close(ended)
		<-finished
	}
}

// listed is the output of go list for a package.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Export     string // file with the export data
	Standard   bool   // part of the standard library
	Module     *struct {
		Path, Dir string
		Main      bool
	}
	Error      *struct{ Err string }
	DepsErrors []*struct{ Err string }
}

// err returns the errors of the package as the go command reports them.
func (p *listed) err() error {
	switch {
	case p.Error != nil:
		return errors.New(strings.TrimSpace(p.Error.Err))
	case len(p.DepsErrors) > 0:
		return errors.New(strings.TrimSpace(p.DepsErrors[0].Err))
	}
	return nil
}

// list compiles the packages, which is quick after the first time, and returns their descriptions, including those of
// packages with errors.
func (g *goCommand) list(ctx context.Context, patterns ...string) ([]*listed, error) {
	args := append([]string{"list", "-e", "-export", "-json=ImportPath,Name,Dir,Export,Standard,Module,Error,DepsErrors"},
		g.flags...)
	out, err := g.output(ctx, append(append(args, "--"), patterns...)...)
	if err != nil {
		return nil, err
	}
	var packages []*listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		switch err := dec.Decode(p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// output runs the go command and returns its standard output.
func (g *goCommand) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := g.command(ctx, args)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// build builds the program in a package, a pattern for go build, into a file.
func (g *goCommand) build(ctx context.Context, output, pattern string, flags ...string) error {
	args := append(append([]string{"build", "-o", output}, g.flags...), flags...)
	cmd := g.command(ctx, append(args, "--", pattern))
	cmd.Stdout, cmd.Stderr = g.stderr, g.stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

func (g *goCommand) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir = g.dir
	cmd.Env = append(cmd.Environ(), g.env...)
	// an interrupt lets it remove its temporary files
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
