// Package testcall ties bus to bustest: it has the key of a context under which bustest keeps what records the calls of
// a handler that a test calls itself, without a subscription.
package testcall

// Key is the key. Its value has the methods that bus asks for; see bus/call.go.
type Key struct{}
