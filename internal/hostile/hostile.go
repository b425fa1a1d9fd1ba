// Package hostile has no code. Its tests decode what anybody may send, as handlers get it, and count what that costs.
// They are not in package bus because counting steps builds the tests once more, and those of bus have brokers in them.
package hostile
