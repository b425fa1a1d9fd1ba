package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// Shipping returns what package slogkafka needs of an App beside its public methods. Its type keeps it inside this
// module.
func (a *App) Shipping() shipping.Bus { return logBus{a} }

// logBus is an App as the log handler sees it.
type logBus struct{ app *App }

// logHandlers are the log handlers that end with an App, and the streams they ship to.
type logHandlers struct {
	streams sync.Map // of names of streams to shipping.Stream

	mu     sync.Mutex
	all    map[int]shipping.Attached
	next   int
	closed bool
}

func (b logBus) CheckStream(name string) error { return streams.CheckName(name) }

func (b logBus) Configured() bool {
	b.app.mu.Lock()
	defer b.app.mu.Unlock()
	return len(b.app.cfg.Servers) > 0
}

func (b logBus) Initialize(ctx context.Context) error { return b.app.Initialize(ctx) }

func (b logBus) Connected() bool { return b.app.conn.Load() != nil }

func (b logBus) Connect(ctx context.Context) error {
	if b.Connected() {
		return nil
	}
	if _, err := b.app.connect(ctx); err != nil {
		return fmt.Errorf("bus: connect: %w", err)
	}
	return nil
}

func (b logBus) Ship(ctx context.Context, spec shipping.Stream, records []shipping.Record) {
	c := b.app.conn.Load()
	if c == nil {
		for i := range records {
			records[i].Outcome.Resolved(ErrClosed)
		}
		return
	}
	promises := make([]produce.Promise, len(records))
	var stream, topic string
	for i := range records {
		r := &records[i]
		if r.Stream != stream {
			b.app.logs.streams.LoadOrStore(r.Stream, spec)
			stream, topic = r.Stream, c.prefix+r.Stream
		}
		promises[i].OnEnd(r.Outcome)
		c.producer.Produce(ctx, produce.Record{
			Topic: topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time,
		}, false, &promises[i])
	}
	c.producer.SendNow()
}

func (b logBus) Expire() {
	if c := b.app.conn.Load(); c != nil {
		c.producer.ExpireNow()
	}
}

func (b logBus) Waiting() error {
	if c := b.app.conn.Load(); c != nil {
		return c.producer.Waiting()
	}
	if client := b.app.connects.Load(); client != nil {
		return client.Unanswered()
	}
	return nil
}

func (b logBus) Attach(stream string, h shipping.Handler) (detach func(), err error) {
	l := &b.app.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.all == nil {
		l.all = make(map[int]shipping.Attached)
	}
	id := l.next
	l.next++
	l.all[id] = shipping.Attached{Stream: stream, Handler: h}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, id)
	}, nil
}

// handlers returns the handlers in the order in which they were attached.
func (l *logHandlers) handlers() []shipping.Attached {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]shipping.Attached, 0, len(l.all))
	for _, id := range slices.Sorted(maps.Keys(l.all)) {
		all = append(all, l.all[id])
	}
	return all
}

// attached reports whether a log handler ships through the App.
func (l *logHandlers) attached() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all) > 0
}

// end ends all handlers at the same time, so that none takes the others' part of the deadline.
func (l *logHandlers) end(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	attached := l.handlers()
	errs := make([]error, len(attached))
	var wg sync.WaitGroup
	for i, a := range attached {
		wg.Go(func() { errs[i] = a.Handler.Close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// logCompression is the codec of log streams where the setting compression_type is not given. Log records are text that
// repeats itself: it makes a quarter of their bytes for a quarter of a microsecond each, and zstd a seventh for six
// times that.
const logCompression = wire.Snappy

// compression returns the codec for a topic's batches.
func (a *App) compression(stream string, s kafka.Settings) wire.Compression {
	if _, log := a.logs.streams.Load(stream); log && !s.CompressionGiven {
		return logCompression
	}
	return s.Compression
}

// topicSpec returns how the topic of a stream is created, of which spec is known.
func (a *App) topicSpec(stream string, spec kafka.TopicSpec) kafka.TopicSpec {
	spec = a.schemas.topic(stream, spec)
	if own, ok := a.logs.streams.Load(stream); ok {
		log := own.(shipping.Stream)
		spec.Partitions = max(spec.Partitions, log.Partitions)
		spec.Retention = max(spec.Retention, log.Retention)
	}
	return spec
}
