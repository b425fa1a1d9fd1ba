package lanes_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// The benchmarks give 21 partitions runs of 4,096 items of 200 bytes, and wait where one is full, as a consumer does.
// Do does nothing: what is measured is what the lanes add to an item.

func BenchmarkByPartition(b *testing.B) {
	bench(b, lanes.Options[record]{Mode: lanes.ByPartition})
}

func BenchmarkByPartitionLimited(b *testing.B) {
	bench(b, lanes.Options[record]{Mode: lanes.ByPartition, Limit: 4})
}

func BenchmarkByKey(b *testing.B) {
	bench(b, lanes.Options[record]{Mode: lanes.ByKey, Limit: 16})
}

func BenchmarkUnordered(b *testing.B) {
	bench(b, lanes.Options[record]{Mode: lanes.Unordered, Limit: 16})
}

// record has about the size of one of the bus.
type record struct {
	offset int64
	key    []byte
	value  []byte
	_      [8]uint64
}

func bench(b *testing.B, o lanes.Options[record]) {
	const partitions, run = 21, 4096
	value := make([]byte, 200)
	o.PartitionItems = run - 1 // so that each run fills its partition, and its end is reported
	o.Offset = func(r *record) int64 { return r.offset }
	o.Key = func(r *record) []byte { return r.key }
	o.Size = func(r *record) int { return len(r.key) + len(r.value) }
	o.Do = func(context.Context, *record, *lanes.Retry) (bool, *lanes.Retry) { return true, nil }
	items := make([]record, run)
	for i := range items {
		items[i] = record{offset: int64(i), key: binary.BigEndian.AppendUint64(nil, uint64(i)), value: value}
	}
	pool := lanes.New(o)
	type source struct {
		part *lanes.Partition[record]
		room chan bool
	}
	sources := make([]source, partitions)
	for i := range sources {
		room := make(chan bool, 2)
		sources[i] = source{room: room, part: pool.Open(b.Context(), func(full bool) {
			if !full {
				room <- true
			}
		})}
		room <- true
	}
	b.ReportAllocs()
	b.ResetTimer()
	runs := (b.N + run - 1) / run
	for n := range runs {
		s := &sources[n%partitions]
		<-s.room
		s.part.Add(items, int64(n+1)*run)
	}
	for i := range min(runs, partitions) {
		<-sources[i].room
	}
	b.StopTimer()
	for _, s := range sources {
		s.part.Stop()
		<-s.part.Idle()
	}
	pool.Close()
}
