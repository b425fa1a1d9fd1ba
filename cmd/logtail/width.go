package main

import "sync/atomic"

// widest is the width of the streams' column, with a limit: one long name must not shift all others.
type widest struct{ columns atomic.Int64 }

const widestStream = 32

// see adds a stream, and returns the width that streams are padded to.
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
