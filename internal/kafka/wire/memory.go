package wire

import (
	"runtime"
	"sync"
)

const (
	// blockSize is what Kafka's consumers ask of a partition at once unless they are told otherwise, so that most of
	// what a backlog is read in has just this size.
	blockSize = 1 << 20
	// maxBlocks bounds the blocks of a Memory, in use and free ones. It is enough for one response to be handled and
	// another one to be read meanwhile.
	maxBlocks = 16
)

// block is memory for what a response has of a partition.
type block [blockSize]byte

// Memory is where a reader of responses gets the memory from that they are read into. It is safe for concurrent use.
//
// Records are views into that memory, and whoever gets one may keep it for ever. So the garbage collector alone can
// tell when the last view is gone: a block has a finalizer, which puts it among the free ones. Without that, reading a
// backlog makes little else than garbage of 1 MiB a piece, and a third of the CPU time goes into clearing and
// collecting it. What is beyond maxBlocks is garbage as usual, because a finalizer delays that by a run of the
// collector.
type Memory struct {
	mu   sync.Mutex
	free []*block
	made int // blocks, in use and free
}

// get returns n bytes of memory, which has any content. A nil Memory has no blocks.
func (m *Memory) get(n int) []byte {
	if m == nil || n <= blockSize/2 || n > blockSize {
		return make([]byte, n)
	}
	b := m.acquire()
	if b == nil {
		return make([]byte, n)
	}
	runtime.SetFinalizer(b, m.put)
	return b[:n:n]
}

// acquire returns a block, and nil where all are in use.
func (m *Memory) acquire() *block {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.free) - 1; last >= 0 {
		b := m.free[last]
		m.free[last] = nil
		m.free = m.free[:last]
		return b
	}
	if m.made == maxBlocks {
		return nil
	}
	m.made++
	return new(block)
}

func (m *Memory) put(b *block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, b)
}

// Release lets go of the blocks that are not in use: nothing is read that needs them.
func (m *Memory) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made -= len(m.free)
	m.free = nil
}
