package main

import "sync/atomic"

// widest is how many columns the streams take that have been seen, within reason: one long name is not to move all
// others.
type widest struct{ columns atomic.Int64 }

const widestStream = 32

// see takes in a stream, and returns how many columns streams are padded to.
func (w *widest) see(stream string) int {
	for n := int64(min(len(stream), widestStream)); ; {
		old := w.columns.Load()
		if n <= old {
			return int(old)
		}
		if w.columns.CompareAndSwap(old, n) {
			return int(n)
		}
	}
}
