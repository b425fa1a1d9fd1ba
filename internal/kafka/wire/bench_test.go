package wire

import (
	"fmt"
	"testing"
)

// BenchmarkRecords reads batches of 1,000 records of 200 bytes as views.
func BenchmarkRecords(b *testing.B) {
	const perBatch = 1000
	for _, headers := range []int{0, 2} {
		for _, c := range []Compression{None, Gzip, Snappy, Lz4, Zstd} {
			b.Run(fmt.Sprintf("%s/headers=%d", c, headers), func(b *testing.B) {
				var builder Builder
				for i := range perBatch {
					value := fmt.Appendf(nil, "%0200d", i*7919)
					h := []Header{{"kafkaesk-id", value[:36]}, {"traceparent", value[:55]}}
					builder.Append(int64(i), nil, value, h[:headers])
				}
				sealed, err := builder.Seal(NoProducer(), c)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(builder.Size()))
				b.ReportAllocs()
				var slab []Record
				n := 0
				for b.Loop() {
					batch, _, err := NextBatch(sealed)
					if err != nil {
						b.Fatal(err)
					}
					if slab, err = batch.Records(slab[:0], 1<<24); err != nil {
						b.Fatal(err)
					}
					n += len(slab)
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkAppend builds and seals batches of 1,000 records of 200 bytes.
func BenchmarkAppend(b *testing.B) {
	value := make([]byte, 200)
	headers := []Header{{"kafkaesk-id", value[:36]}}
	var builder Builder
	b.ReportAllocs()
	for b.Loop() {
		builder.Append(1, nil, value, headers)
		if builder.Len() == 1000 {
			if _, err := builder.Seal(NoProducer(), None); err != nil {
				b.Fatal(err)
			}
			builder.Reset()
		}
	}
}
