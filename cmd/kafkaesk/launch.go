package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// launch builds the program of a target unless it is up to date, and replaces this process with it. The program gets
// args and this process's environment. launch returns only after an error, or, on systems without exec, when the
// program has ended.
func launch(ctx context.Context, arg string, args, flags []string, streams Streams) error {
	t, err := parseTarget(arg)
	if err != nil {
		return cli.UsageError(err)
	}
	g, err := newGoCommand(t.dir, flags, streams.Err)
	if err != nil {
		return err
	}
	built := g.announce(arg)
	file, e, err := g.buildInCache(ctx, t)
	built()
	if err != nil {
		return err
	}
	// From here on a signal ends this process, so that it cannot be lost between this process and the program.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), e.close())
	}
	return errors.Join(become(file, append([]string{file}, args...)), e.close())
}

// buildInCache builds the program of a target in the user's cache, and returns its file and its locked cache entry.
func (g *goCommand) buildInCache(ctx context.Context, t target) (file string, e *entry, err error) {
	copies, err := os.MkdirTemp("", "kafkaesk-")
	if err != nil {
		return "", nil, fmt.Errorf("preparing the build: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copies)) }()
	flags := strings.Join(g.flags, " ")
	if err := g.keepTree(ctx, copies); err != nil {
		return "", nil, err
	}
	p, err := resolve(ctx, t, g)
	if err != nil {
		return "", nil, err
	}
	c, err := userCache()
	if err != nil {
		return "", nil, err
	}
	e, err = c.open(ctx, p.pkg.Dir, p.pkg.ImportPath, p.symbol, flags, os.Getenv("GOFLAGS"))
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(e.dir, executable(p.name()))
	// The commit is not stamped: determining it takes longer than the rest of a start.
	err = p.build(ctx, g, e.dir, file, "-buildvcs=false")
	if err == nil {
		err = os.Chmod(file, 0o700) // the umask may allow writing by others, and the next start refuses such a program
	}
	if err != nil {
		return "", nil, errors.Join(err, e.close())
	}
	c.prune()
	return file, e, nil
}
