package bus

import (
	"context"
	"errors"
	"fmt"
)

// chain makes the innermost part of a subscription's handler, which is called for each attempt at a record: decode it,
// then the application's middleware, then the application's handler. What lies around it is in process.go.
func chain[T any](
	x *runner, decode func(*Record) (T, error), handler func(context.Context, T) error, middleware []Middleware,
) Handler {
	handle := func(ctx context.Context, _ *Record, v T) error { return handler(ctx, v) }
	if _, ok := any(*new(T)).(anyMessage); ok {
		handle = func(ctx context.Context, _ *Record, v T) error {
			c := callOf(ctx)
			if c == nil {
				c = &call{Context: ctx, x: x} // a middleware has made a context of its own
			}
			any(v).(anyMessage).deliver(c)
			return handler(ctx, v)
		}
	}
	decodeAndHandle := func(ctx context.Context, r *Record) error {
		v, err := decode(r)
		if err != nil {
			return Reject(err)
		}
		return handle(ctx, r, v)
	}
	if len(middleware) == 0 {
		return decodeAndHandle
	}
	// The middleware sees records that have been decoded; what they were decoded to waits in the context.
	wrapped := wrap(func(ctx context.Context, r *Record) error {
		if d, ok := ctx.Value(decodedKey{}).(*decoded[T]); ok && d.record == r {
			return handle(ctx, r, d.value)
		}
		return decodeAndHandle(ctx, r) // another record than the one that came in
	}, middleware)
	return func(ctx context.Context, r *Record) error {
		v, err := decode(r)
		if err != nil {
			return Reject(err)
		}
		return wrapped(context.WithValue(ctx, decodedKey{}, &decoded[T]{r, v}), r)
	}
}

// wrap puts middleware around h, the first one outermost.
func wrap(h Handler, middleware []Middleware) Handler {
	for i := len(middleware) - 1; i >= 0; i-- {
		h = middleware[i](h)
	}
	return h
}

type decodedKey struct{}

type decoded[T any] struct {
	record *Record
	value  T
}

// PanicError is the error of a handler that panicked.
type PanicError struct {
	// Value is what the handler panicked with.
	Value any
	// Stack is the handler's stack, as text.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error. Panicking with Reject(err) is still a panic, and no rejection: such a
// value is not returned.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	if _, ok := errors.AsType[*handlerOutcome](err); ok {
		return nil
	}
	return err
}

// stackOf returns the stack of a panic as an attribute for the log, which would tell only the panic's text; none for
// other errors.
func stackOf(err error) []any {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return []any{"stack", string(p.Stack)}
	}
	return nil
}
