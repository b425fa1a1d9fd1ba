package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
)

// describeApp returns the declarations of a target's App: it builds the program that `kafkaesk ./pkg:App` runs, and
// runs it with --describe, which asks no broker.
func describeApp(ctx context.Context, arg, tags string, streams Streams) (app *appinfo.App, err error) {
	t, err := parseTarget(arg)
	if err != nil {
		return nil, cli.UsageError(err)
	}
	// A package main is not run: it may not call worker.Main, and would start its work.
	t.symbol = cmp.Or(t.symbol, defaultSymbol)
	g, err := newGoCommand(t.dir, tagFlags(tags), streams.Err)
	if err != nil {
		return nil, err
	}
	built := g.announce(arg)
	file, e, err := g.buildInCache(ctx, t)
	built()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	cmd := exec.CommandContext(ctx, file, "--describe")
	cmd.Stderr = streams.Err
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not describe itself: %w (its module needs a kafkaesk whose workers know --describe)",
			arg, err)
	}
	if app, err = appinfo.Parse(out); err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	return app, nil
}
