package bus

import (
	"context"
	"fmt"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// delivery is what a [Message] knows of where it came from.
type delivery struct {
	app    *App
	record *Record
	place  consume.Place
}

func (d *delivery) commit(ctx context.Context) error {
	if d.place == nil {
		return fmt.Errorf("bus: commit %s: a middleware called the handler with a context of its own: make it of the one that the middleware was given", where(d.record))
	}
	if err := d.place.Commit(ctx, d.record.Offset+1); err != nil {
		return fmt.Errorf("bus: commit %s: %w", where(d.record), err)
	}
	return nil
}

func (d *delivery) forward(ctx context.Context, stream string, opts ...PublishOption) error {
	return d.app.forward(ctx, stream, d.record, d.record.Headers, opts)
}

// forward sends a record's value and key on, with these headers, and returns when they are acknowledged.
func (a *App) forward(ctx context.Context, stream string, r *Record, headers []Header, opts []PublishOption) error {
	out := &Receipt{stream: stream}
	c, until, err := a.useFor(ctx, stream)
	if err != nil {
		return out.fail(err).early
	}
	w := a.take()
	w.key, w.until = r.Key, until
	w.headers = append(w.headers, headers...)
	c.send(ctx, out, w, r.Value, true, opts)
	a.give(w)
	return out.Wait(ctx)
}

// where names a record's place in an error or a log line.
func where(r *Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
