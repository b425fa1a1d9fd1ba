package wire

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	kafkago "github.com/segmentio/kafka-go/compress"
)

// What is compressed is read back by kafka-go's codecs, which are not ours, whatever its size and however little it
// compresses.
func TestOthersReadWhatIsCompressed(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	text := bytes.Repeat([]byte("a record of some words, "), 5<<20/24)
	for c := Gzip; c <= Zstd; c++ {
		for _, size := range []int{0, 1, 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300 << 10, 1 << 20, 5 << 20} {
			for name, data := range map[string][]byte{"noise": noise, "text": text} {
				src := data[:min(size, len(data))]
				packed, err := compress([]byte("head"), src, c)
				if err != nil {
					t.Fatal(err)
				}
				if string(packed[:4]) != "head" {
					t.Errorf("%s: what was there is gone", c)
				}
				r := kafkago.Compression(c).Codec().NewReader(bytes.NewReader(packed[4:]))
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, src) {
					t.Errorf("%s: %d bytes of %s: %d came back, %v", c, len(src), name, len(got), err)
				}
			}
		}
	}
}

// The headers of lz4's frames are constants here: the library's reader checks the checksum in them.
func TestTheFramesOfLz4AreValid(t *testing.T) {
	t.Parallel()
	for _, f := range lz4Frames {
		r := lz4.NewReader(bytes.NewReader([]byte(f.header + "\x00\x00\x00\x00")))
		if _, err := io.ReadAll(r); err != nil {
			t.Errorf("blocks of %d: %v", f.block, err)
		}
		if n := r.Size(); n != 0 {
			t.Errorf("blocks of %d: a size of %d", f.block, n)
		}
	}
}

// BenchmarkSeal is what a batch of 512 KiB costs until it is ready to be sent. bench/codecs_test.go has franz-go's
// beside it.
func BenchmarkSeal(b *testing.B) {
	for c := None; c <= Zstd; c++ {
		for _, size := range []int{30, 1000, 60_000} {
			b.Run(fmt.Sprintf("%s/%d", c, size), func(b *testing.B) {
				var builder Builder
				value := benchText(size)
				b.ReportAllocs()
				records := 0
				for b.Loop() {
					builder.Reset()
					for builder.Size()+size+100 < 512<<10 {
						builder.Append(1, nil, value(), nil)
						records++
					}
					if _, err := builder.Seal(NoProducer(), c); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
			})
		}
	}
}

// benchText returns a function that returns texts of words and numbers, of a size.
func benchText(size int) func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"stream", "record", "offset", "leader", "commit", "publish", "handler", "partition"}
	var all []byte
	for len(all) < 1<<20+size {
		all = fmt.Appendf(all, "%s %x ", words[random.IntN(len(words))], random.Uint32())
	}
	at := 0
	return func() []byte {
		at = (at + size + 7) % (1 << 20)
		return all[at : at+size]
	}
}
