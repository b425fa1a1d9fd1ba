package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// BenchmarkDecode decodes what one fetch has of a partition, about 1 MiB of records in one batch, without a broker:
// unpacking and parsing. The CPU of a record counts the garbage collector's work too. Run it with several -count, and
// compare medians.
func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{30, 1_000, 60_000, 700_000} {
		for c := wire.None; c <= wire.Zstd; c++ {
			if c != wire.None && size != 1_000 {
				continue
			}
			n := max(1<<20/(size+10), 1)
			raw := rawBatch(b, c, n, size)
			b.Run(fmt.Sprintf("%dB/%s/ours", size, c), func(b *testing.B) {
				var records []wire.Record
				cpuPerRecord(b, n, func() {
					batch, _, err := wire.NextBatch(raw)
					if err != nil {
						b.Fatal(err)
					}
					clear(records)
					if records, err = batch.Records(records[:0], 64<<20); err != nil || len(records) != n {
						b.Fatal(len(records), err)
					}
				})
			})
			b.Run(fmt.Sprintf("%dB/%s/franz", size, c), func(b *testing.B) {
				decompressor := kgo.DefaultDecompressor()
				cpuPerRecord(b, n, func() {
					rp := kmsg.NewFetchResponseTopicPartition()
					rp.RecordBatches = raw
					fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t"}, &rp, decompressor, nil)
					if fp.Err != nil || len(fp.Records) != n {
						b.Fatal(len(fp.Records), fp.Err)
					}
				})
			})
		}
	}
}

// rawBatch returns a batch of n records whose values are made-up text of size bytes.
func rawBatch(tb testing.TB, c wire.Compression, n, size int) []byte {
	words := []string{"order", "payment", "customer", "timeout", "retry", "the", "of", "service", "request",
		"failed", "completed"}
	random := rand.New(rand.NewPCG(1, 2))
	var builder wire.Builder
	for i := range n {
		value := make([]byte, 0, size+20)
		for len(value) < size {
			value = append(append(value, words[random.IntN(len(words))]...), ' ')
			if random.IntN(4) == 0 {
				value = fmt.Appendf(value, "%08x ", random.Uint32())
			}
		}
		builder.Append(int64(i), binary.BigEndian.AppendUint64(nil, uint64(i)), value[:size], nil)
	}
	sealed, err := builder.Seal(wire.NoProducer(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

// cpuPerRecord calls f, which decodes n records, as often as b says.
func cpuPerRecord(b *testing.B, n int, f func()) {
	f() // pools are filled
	runtime.GC()
	before := processCPU(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((processCPU(b)-before).Nanoseconds())/float64(b.N*n), "cpu-ns/record")
	b.ReportMetric(0, "ns/op")
}

func processCPU(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
