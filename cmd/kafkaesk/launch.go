package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// launch builds the program of a target, unless it is there, and becomes it. The program gets args, and the environment as it is. launch
// returns only when it could not, or on systems where a process cannot become another, when the program has ended.
func launch(ctx context.Context, arg string, args, flags []string, streams Streams) error {
	t, err := parseTarget(arg)
	if err != nil {
		return usageError{err}
	}
	g, err := newGoCommand(t.dir, flags, streams.Err)
	if err != nil {
		return err
	}
	p, err := resolve(ctx, t, g)
	if err != nil {
		return err
	}
	c, err := userCache()
	if err != nil {
		return err
	}
	e, err := c.open(ctx, p.pkg.Dir, p.pkg.ImportPath, p.symbol, strings.Join(flags, " "), os.Getenv("GOFLAGS"))
	if err != nil {
		return err
	}
	file := filepath.Join(e.dir, executable(p.name()))
	// The commit is not stamped in: asking for it takes longer than the rest of a start.
	if err := p.build(ctx, g, e.dir, file, "-buildvcs=false"); err != nil {
		return errors.Join(err, e.close())
	}
	c.prune()
	// From here on a signal ends this process as it ends any other: the program is to get it, or nobody.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), e.close())
	}
	return errors.Join(become(file, append([]string{file}, args...)), e.close())
}
