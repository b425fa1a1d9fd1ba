package bench

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
)

// contention is a number of goroutines that do nothing but hand records to a producer, as many as its buffer holds.
const (
	contentionCallers = 4
	contentionRecords = 50_000 // of each
	contentionBytes   = 200
)

// BenchmarkContention shows how long goroutines that call Produce wait for the locks of the producer, in percent of
// their time, and what a record takes. The broker is in this process and throws everything away:
//
//	go test -run '^$' -bench Contention -benchtime 10x
func BenchmarkContention(b *testing.B) {
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	for _, shape := range []struct {
		partitions int32
		keyed      bool
	}{{7, false}, {1000, false}, {1, true}, {10, true}, {1000, true}} {
		name := fmt.Sprintf("partitions=%d/keyed=%t/", shape.partitions, shape.keyed)
		keys := make([][]byte, 20_000)
		if shape.keyed {
			for i := range keys {
				keys[i] = fmt.Appendf(nil, "key-%d", i)
			}
		}
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BlackholeProduce(), kfake.SeedTopics(shape.partitions, "a"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"kafkaesk", func(b *testing.B) { contendOurs(b, fake.ListenAddrs(), keys) })
		b.Run(name+"franz-go", func(b *testing.B) { contendFranz(b, fake.ListenAddrs(), keys) })
		fake.Close()
	}
}

func contendOurs(b *testing.B, servers []string, keys [][]byte) {
	client, err := kafka.NewClient(servers, kafka.DefaultSettings(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	p := produce.New(client, produce.Options{})
	value := bytes.Repeat([]byte("v"), contentionBytes)
	promises := make([]produce.Promise, contentionCallers*contentionRecords)
	ctx := context.Background()
	contend(b, func(caller int) {
		for i := range contentionRecords {
			n := caller*contentionRecords + i
			promises[n] = produce.Promise{}
			p.Produce(ctx, produce.Record{Topic: "a", Key: keys[n%len(keys)], Value: value}, false, &promises[n])
		}
	}, p.Flush)
	b.ReportMetric(float64(p.Stats().Requests)/float64(b.N), "requests/op")
	if err := p.Close(ctx); err != nil {
		b.Fatal(err)
	}
}

func contendFranz(b *testing.B, servers []string, keys [][]byte) {
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.DefaultProduceTopic("a"),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(250_000), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	value := bytes.Repeat([]byte("v"), contentionBytes)
	ctx := context.Background()
	contend(b, func(caller int) {
		for i := range contentionRecords {
			client.Produce(ctx, &kgo.Record{Key: keys[(caller*contentionRecords+i)%len(keys)], Value: value}, nil)
		}
	}, client.Flush)
}

// contend has the callers hand in their records, round by round, and reports how long they waited for locks.
func contend(b *testing.B, produce func(caller int), flush func(context.Context) error) {
	var calling, waited time.Duration
	for round := range b.N + 1 {
		before, began := lockWait(b), time.Now()
		var all sync.WaitGroup
		for caller := range contentionCallers {
			all.Go(func() { produce(caller) })
		}
		all.Wait()
		if round > 0 { // the first one connects
			calling += time.Since(began)
			waited += lockWait(b) - before
		}
		if err := flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*waited.Seconds()/(contentionCallers*calling.Seconds()), "%wait")
	b.ReportMetric(float64(calling.Nanoseconds())/float64(b.N*contentionCallers*contentionRecords), "ns/record")
	b.ReportMetric(0, "ns/op")
}

// lockWait returns how long callers of Produce have waited for mutexes so far.
func lockWait(b *testing.B) time.Duration {
	var text bytes.Buffer
	if err := pprof.Lookup("block").WriteTo(&text, 1); err != nil {
		b.Fatal(err)
	}
	var perSecond, cycles, total float64
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		for line := range strings.Lines(stack) {
			if rate, ok := strings.CutPrefix(line, "cycles/second="); ok {
				perSecond, _ = strconv.ParseFloat(strings.TrimSpace(rate), 64)
			}
			if fields := strings.Fields(line); len(fields) > 3 && fields[2] == "@" {
				cycles, _ = strconv.ParseFloat(fields[0], 64)
			}
		}
		if strings.Contains(stack, "sync.(*Mutex).Lock") && strings.Contains(stack, ").Produce+") {
			total += cycles
		}
	}
	return time.Duration(total / perSecond * float64(time.Second))
}
