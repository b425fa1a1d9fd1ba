package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// BenchmarkCompress is the CPU of compressing a batch of 512 KiB, ours and franz-go's:
//
//	go test -run '^$' -bench Compress ./...
func BenchmarkCompress(b *testing.B) {
	for _, codec := range []struct {
		ours  wire.Compression
		franz kgo.CompressionCodec
	}{
		{wire.Gzip, kgo.GzipCompression()}, {wire.Snappy, kgo.SnappyCompression()},
		{wire.Lz4, kgo.Lz4Compression()}, {wire.Zstd, kgo.ZstdCompression()},
	} {
		for _, size := range []int{30, 1000, 60_000, 500_000} {
			text := words(size)
			var filled wire.Builder
			for filled.Len() == 0 || filled.Size()+size+100 < 512<<10 {
				filled.Append(1, nil, text(), nil)
			}
			raw, err := filled.Seal(wire.NoProducer(), wire.None)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d/ours", codec.ours, size), func(b *testing.B) {
				defer reportCPU(b)()
				for b.Loop() {
					if _, err := filled.Seal(wire.NoProducer(), codec.ours); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/franz", codec.ours, size), func(b *testing.B) {
				compressor, err := kgo.DefaultCompressor(codec.franz)
				if err != nil {
					b.Fatal(err)
				}
				defer reportCPU(b)()
				var dst bytes.Buffer
				for b.Loop() {
					dst.Reset()
					compressor.Compress(&dst, raw[61:]) // all but the header of the batch
				}
			})
		}
	}
}

// reportCPU reports how long the processors worked for an operation: the wall clock of a shared machine tells little.
func reportCPU(b *testing.B) (end func()) {
	before := processCPU(b)
	return func() { b.ReportMetric(float64((processCPU(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

// words returns a function that returns texts of words and numbers, of a size.
func words(size int) func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	vocabulary := []string{"stream", "record", "offset", "leader", "commit", "publish", "handler", "partition"}
	var all []byte
	for len(all) < 1<<20+size {
		all = fmt.Appendf(all, "%s %x ", vocabulary[random.IntN(len(vocabulary))], random.Uint32())
	}
	at := 0
	return func() []byte {
		at = (at + size + 7) % (1 << 20)
		return all[at : at+size]
	}
}
