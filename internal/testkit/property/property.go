// Package property runs properties of random values as fuzz targets.
package property

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// drawn bounds the bytes that a property draws: more than the largest random type with its values needs.
const drawn = 64 << 10

// Fuzz runs a property of random values as a fuzz target. The first values are drawn from the input; further ones are
// random, seeded by the input. Without these nearly every input is too short, and skipped, because the fuzzer prefers
// short ones.
func Fuzz(f *testing.F, property func(*rapid.T)) {
	f.Helper()
	run := rapid.MakeFuzz(property)
	f.Fuzz(func(t *testing.T, input []byte) {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(len(input)))
		for i, b := range input {
			seed[8+i%24] = seed[8+i%24]*31 + b
		}
		all := make([]byte, len(input)+drawn)
		copy(all, input)
		_, _ = rand.NewChaCha8(seed).Read(all[len(input):]) // it has no errors
		run(t, all)
	})
}
