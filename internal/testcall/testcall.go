// Package testcall connects bus with bustest: it holds the context key of the recorder with which bustest records the
// calls of a handler that a test calls directly, without a subscription.
package testcall

// Key is the key. Its value has the methods that bus asks for; see bus/call.go.
type Key struct{}
