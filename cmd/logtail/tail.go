package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// idleAfter is how long nothing has to come until a reader is told that we wait.
const idleAfter = time.Second

// run prints the records until all is read, ctx ends, or the reader of the output is gone.
func (o *options) run(ctx context.Context) error {
	app := bus.New(o.config)
	defer o.close(ctx, app)
	if err := o.connect(ctx, app); err != nil {
		return err
	}
	tailing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := newOutput(o.out, stop)
	idle := o.announceIdle()
	defer idle.Stop()

	var marked, failures int
	for record, err := range app.Tail(tailing, o.patterns[0], append(o.tail, bus.Include(o.patterns[1:]...))...) {
		if err != nil {
			failures++
			_, _ = fmt.Fprintf(escapingWriter{o.err}, "logtail: %v\n", err)
			continue
		}
		idle.Reset(idleAfter)
		e := open(record)
		if !o.shows(&e) {
			continue
		}
		if e.note != "" {
			marked++
		}
		if out.print(o.print, &e) != nil {
			break
		}
	}
	if err := out.flush(); err != nil {
		return &exitError{exitFailed, fmt.Errorf("write the output: %w", err)}
	}
	if marked > 0 {
		o.notice("records that are no envelopes: %d", marked)
	}
	switch {
	case failures > 0:
		return &exitError{exitFailed, fmt.Errorf("errors while reading: %d; records may be missing", failures)}
	case o.noFollow && ctx.Err() != nil:
		return &exitError{exitFailed, errors.New("interrupted before the end")}
	}
	return nil
}

// connect waits for a broker, for a limited time.
func (o *options) connect(ctx context.Context, app *bus.App) error {
	reach, cancel := context.WithTimeout(ctx, o.reach)
	defer cancel()
	err := app.Initialize(reach)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !o.noFollow:
		return nil // the tail ends at once
	case ctx.Err() != nil:
		return &exitError{exitFailed, errors.New("interrupted before the end")}
	case reach.Err() != nil:
		return &exitError{exitUnreachable, fmt.Errorf("no broker could be reached within %v: %w", o.reach, err)}
	default: // such as credentials that are refused
		return &exitError{exitFailed, err}
	}
}

// close waits a moment at most: nothing was published.
func (o *options) close(ctx context.Context, app *bus.App) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := app.Close(ctx); err != nil {
		o.notice("%v", err)
	}
}

// shows tells whether the record passes the filter. What is no log record has no level, and passes where none is asked for.
func (o *options) shows(e *entry) bool {
	if o.least == nil {
		return true
	}
	level, ok := e.level()
	return ok && level >= *o.least
}

// notice says something that is neither a record nor an error.
func (o *options) notice(format string, args ...any) {
	if !o.quiet {
		_, _ = fmt.Fprintf(escapingWriter{o.err}, "logtail: "+format+"\n", args...)
	}
}

// announceIdle says once, on a terminal, that nothing has come for a while, lest waiting look like hanging. The caller resets the
// timer to [idleAfter] at every record, and stops it.
func (o *options) announceIdle() *time.Timer {
	return time.AfterFunc(idleAfter, sync.OnceFunc(func() {
		if !o.noFollow && isTerminal(o.err) {
			o.notice("waiting for new records")
		}
	}))
}
