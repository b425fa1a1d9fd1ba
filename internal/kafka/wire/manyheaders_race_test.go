//go:build race

package wire

// manyHeaders is what thirty million are elsewhere: the race detector makes each take ten times as long.
const manyHeaders = 3_000_000
