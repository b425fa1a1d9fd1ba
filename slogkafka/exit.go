package slogkafka

import (
	"context"
	"os"
	"time"
)

// FlushOnPanic delivers what is queued when a panic passes by, for at most so long, and panics again. When three
// quarters of the time are over and records are still queued, it closes the handler, so that they go to the disk or the
// fallback, as [Handler.Exit] does it. It does nothing without a panic. It is deferred where a goroutine begins, in
// main say:
//
//	defer handler.FlushOnPanic(5 * time.Second)
//
// A panic ends the whole process, also one in a goroutine that has not deferred it.
func (h *Handler) FlushOnPanic(within time.Duration) {
	v := recover()
	if v == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	flushing, done := context.WithTimeout(ctx, within*3/4)
	defer done()
	if h.Flush(flushing) != nil {
		_ = h.Close(ctx) // the panic is what has to be told; the fallback, or standard error, has been told the rest
	}
	panic(v)
}

// Exit closes the handler, for at most so long, and ends the process with the code, as os.Exit does. os.Exit itself,
// and log.Fatal, lose what is queued.
func (h *Handler) Exit(code int, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_ = h.Close(ctx) // the fallback, or standard error, has been told
	os.Exit(code)
}
