package produce_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
)

// BenchmarkProduce is what one goroutine pays for a record, with a broker in the same process that throws everything
// away.
func BenchmarkProduce(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprintf("keyed=%t", keyed), func(b *testing.B) {
			bench := newBench(b, kfake.BlackholeProduce())
			bench.topic("a", 7)
			p := bench.producer(produce.Options{}, nil)
			val, now := bytes.Repeat([]byte("v"), 200), time.Now()
			keys := make([][]byte, 1000)
			if keyed {
				for i := range keys {
					keys[i] = fmt.Appendf(nil, "key-%d", i)
				}
			}
			ctx := b.Context()
			if err := send(b, p, ctx, "a", "first"); err != nil {
				b.Fatal(err)
			}
			promises := make([]produce.Promise, b.N)
			b.SetBytes(int64(len(val)))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range promises {
				p.Produce(ctx, produce.Record{Topic: "a", Key: keys[i%len(keys)], Value: val, Time: now}, false, &promises[i])
			}
			b.StopTimer()
			if err := p.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(p.Stats().Requests), "requests")
		})
	}
}
