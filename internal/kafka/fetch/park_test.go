package fetch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// TestPausedStaysPacked pauses a partition when it has given one chunk. What else was fetched of it does not come, is
// not unpacked, and holds up nobody; when it is resumed it comes, in order, and nothing twice.
func TestPausedStaysPacked(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	const batches, size = 40, 100_000
	packed := b.newProducer(kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.MaxBufferedRecords(1))
	var want []string
	for i := range batches {
		value := fmt.Sprintf("%d %s", i, strings.Repeat("x", size))
		want = append(want, value)
		b.produce(packed, &kgo.Record{Partition: 0, Value: []byte(value)})
	}
	f := b.fetcher(fetch.Options{MaxBuffered: 1})
	f.Add(b.part(0), 0)
	got := b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 })
	f.Pause(b.part(0))
	f.Add(b.part(1), 0)
	for i := range 20 {
		b.produce(b.producer, &kgo.Record{Partition: 1, Value: fmt.Appendf(nil, "beside %d", i)})
	}
	beside := b.read(f, func(s *seen) bool { return len(s.values[1]) == 20 })
	if n := len(beside.values[0]); n > 0 {
		t.Errorf("%d records of the paused partition came", n)
	}
	if s := f.Stats(); s.Parked == 0 || s.Parked > size {
		t.Errorf("%d bytes are parked, want some, and packed: fewer than %d", s.Parked, size)
	}
	f.Resume(b.part(0))
	rest := b.read(f, func(s *seen) bool { return len(got.values[0])+len(s.values[0]) >= batches })
	if all := append(got.values[0], rest.values[0]...); !slices.Equal(all, want) {
		t.Errorf("%d records came, or in another order; want %d", len(all), len(want))
	}
	if s := f.Stats(); s.Parked != 0 {
		t.Errorf("%d bytes are still parked", s.Parked)
	}
}

// TestOnePartitionLeavesRoom reads a long partition whose chunks nobody takes: no more of it is fetched than a few
// requests' worth, though there would be room, and when chunks are taken it goes on.
func TestOnePartitionLeavesRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	const records, size = 800, 10_000
	value := make([]byte, size)
	for range records {
		b.producer.Produce(t.Context(), &kgo.Record{Value: value}, nil)
	}
	if err := b.producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	const share = 200_000
	s := b.client.Settings()
	s.MaxPartitionFetchBytes = share
	f := fetch.New(newClientOf(t, b.cluster, s), fetch.Options{})
	t.Cleanup(f.Close)
	f.Add(b.part(0), 0)
	// Three answers are the most: one on its way when there were almost two, whose first batch may be larger than its
	// share.
	b.waitFor(func() bool { return f.Stats().Buffered >= 2*share })
	requests := f.Stats().Requests
	ctx, cancel := context.WithTimeout(t.Context(), 3*s.FetchMaxWait)
	defer cancel()
	<-ctx.Done()
	if now := f.Stats().Requests; now != requests {
		t.Errorf("%d requests more, with %d bytes held", now-requests, f.Stats().Buffered)
	}
	b.read(f, func(s *seen) bool { return len(s.values[0]) == records })
}
