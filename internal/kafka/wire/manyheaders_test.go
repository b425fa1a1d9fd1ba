//go:build !race

package wire

const manyHeaders = 30_000_000
