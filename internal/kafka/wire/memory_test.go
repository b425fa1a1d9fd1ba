package wire

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// freeBlocks returns how many blocks are free and how many there are.
func freeBlocks(m *Memory) (free, made int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.free), m.made
}

// readBlock reads a response with records that take a block, all of the byte b, into m.
func readBlock(t *testing.T, m *Memory, b byte) []byte {
	t.Helper()
	records := bytes.Repeat([]byte{b}, blockSize-1)
	body := fetchResponse("topic", 3, records)
	res, err := readFetch(bytes.NewReader(body), len(body), m)
	if err != nil {
		t.Fatal(err)
	}
	got := res.Partitions[0].Records
	if !bytes.Equal(got, records) || cap(got) != len(got) {
		t.Fatalf("got %d bytes with room for %d, want %d times %d", len(got), cap(got), len(records), b)
	}
	return got
}

// TestBlocksServeAgain reads responses one after another, and keeps none: blocks that are free are read into before new
// ones are made.
func TestBlocksServeAgain(t *testing.T) {
	t.Parallel()
	m := new(Memory)
	for i := range 10 {
		readBlock(t, m, byte(i))
		testkit.Until(t, "the block is free", func() bool {
			runtime.GC()
			free, made := freeBlocks(m)
			return free == 1 && made == 1
		})
	}
	m.Release()
	if free, made := freeBlocks(m); free != 0 || made != 0 {
		t.Errorf("%d blocks are free of %d, want none after Release", free, made)
	}
}

// TestBlockStaysWhileAViewIsHeld keeps a few bytes of one response while others are read, and of more responses than
// there are blocks.
func TestBlockStaysWhileAViewIsHeld(t *testing.T) {
	t.Parallel()
	m := new(Memory)
	const held = maxBlocks + 3
	var views [][]byte
	for i := range byte(held) {
		views = append(views, readBlock(t, m, i)[blockSize/2:][:4:4])
	}
	if free, made := freeBlocks(m); free != 0 || made != maxBlocks {
		t.Errorf("%d blocks are free of %d, want 0 of %d", free, made, maxBlocks)
	}
	views[5] = nil
	testkit.Until(t, "the block of the view that was given up is free", func() bool {
		runtime.GC()
		free, _ := freeBlocks(m)
		return free == 1
	})
	for i := range byte(10) {
		readBlock(t, m, 100+i)
		runtime.GC()
	}
	for i, view := range views {
		if i != 5 && !bytes.Equal(view, bytes.Repeat([]byte{byte(i)}, 4)) {
			t.Errorf("the view into response %d has %v", i, view)
		}
	}
}

// TestCutOffBatchTakesNoMemory reads batches of which the first takes most of what a partition may have in a response:
// those that are whole come, the one that is cut off is left out, and the connection stands at the next response.
func TestCutOffBatchTakesNoMemory(t *testing.T) {
	t.Parallel()
	large, small := sealedBatch(t, 600<<10), sealedBatch(t, 50<<10)
	for _, test := range []struct {
		name          string
		whole, cutOff []byte
	}{
		{"whole", large, nil},
		{"cut off in its header", large, small[:lengthFrom-1]},
		{"cut off in its records", large, large[:300<<10]},
		{"behind smaller ones", slices.Concat(large, small, small), large[:200<<10]},
		{"no batch", large, make([]byte, 100)},
		{"small ones are read as they are", slices.Concat(small, small, small[:20<<10]), nil},
		{"a first one that is cut off is read as it is", large[:200<<10], nil},
	} {
		body := fetchResponse("topic", 3, slices.Concat(test.whole, test.cutOff))
		src := bytes.NewReader(append(body, "next"...))
		res, err := readFetch(src, len(body), nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := res.Partitions[0].Records; !bytes.Equal(got, test.whole) {
			t.Errorf("%s: got %d bytes, want %d", test.name, len(got), len(test.whole))
		}
		if rest, err := io.ReadAll(src); err != nil || string(rest) != "next" {
			t.Errorf("%s: %q is left on the connection, %v", test.name, rest, err)
		}
	}
}

// sealedBatch returns a batch with a record of size bytes.
func sealedBatch(t *testing.T, size int) []byte {
	t.Helper()
	var b Builder
	b.Append(0, nil, make([]byte, size), nil)
	sealed, err := b.Seal(NoProducer(), None)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
