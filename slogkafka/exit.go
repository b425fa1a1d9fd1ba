package slogkafka

import (
	"context"
	"os"
	"time"
)

// FlushOnPanic delivers what is queued when a panic ends the process, for at most within, and then panics again. When
// three quarters of the time are over and records are still queued, it closes the handler, so that they go to the
// disk or the fallback. It does nothing without a panic. Defer it where a goroutine begins, for example in main:
//
//	defer handler.FlushOnPanic(5 * time.Second)
//
// A panic also ends the process in a goroutine that has not deferred it: then nothing is delivered.
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
		_ = h.Close(ctx) // the panic is the error to report; the fallback or standard error has the undelivered records
	}
	panic(v)
}

// Exit closes the handler, for at most within, and ends the process with the code, as os.Exit does. os.Exit itself,
// and log.Fatal, lose what is queued.
func (h *Handler) Exit(code int, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_ = h.Close(ctx) // the fallback or standard error has reported the error
	os.Exit(code)
}
