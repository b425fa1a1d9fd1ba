package fetch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// TestCompactedTailIsPassed is invariant 17's second half: a batch whose last records have been removed,
// alone in its response. Its end is in its header only.
func TestCompactedTailIsPassed(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	short := batch(t, 0, wire.None, "a", "b")
	binary.BigEndian.PutUint32(short[23:], 9) // 0..9, of which 2..9 are gone
	reseal(short)
	rest := batch(t, 10, wire.None, "c")
	b.answerFetch(11, func(offset int64) []byte {
		switch {
		case offset < 10:
			return short
		case offset == 10:
			return rest
		}
		return nil
	})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	got := b.read(f, nextIs(11))
	if diff := cmp.Diff([]string{"a", "b", "c"}, got.values[0]); diff != "" || got.errs != nil {
		t.Error(diff, got.errs)
	}
}

// TestEmptyBatchIsPassed has a batch of which compaction left nothing but the header.
func TestEmptyBatchIsPassed(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	empty := batch(t, 0, wire.None, "a")[:61]
	binary.BigEndian.PutUint32(empty[8:], 61-12)
	binary.BigEndian.PutUint32(empty[23:], 4)
	binary.BigEndian.PutUint32(empty[57:], 0)
	b.answerFetch(5, func(offset int64) []byte {
		if offset < 5 {
			return reseal(empty)
		}
		return nil
	})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	if got := b.read(f, nextIs(5)); len(got.values[0]) > 0 || got.errs != nil {
		t.Errorf("%+v", got)
	}
}

// TestBadBatch is an error of its partition, with topic, partition and offset, and no more.
func TestBadBatch(t *testing.T) {
	t.Parallel()
	flipped := batch(t, 2, wire.None, "x", "y")
	flipped[len(flipped)-3] ^= 1
	garbled := batch(t, 2, wire.None, "x", "y")
	garbled[61] = 0xff
	noLength := bytes.Clone(flipped)
	binary.BigEndian.PutUint32(noLength[8:], 5)
	endless := bytes.Clone(flipped)
	binary.BigEndian.PutUint32(endless[8:], 1<<30)
	tests := []struct {
		name   string
		bad    []byte
		goesOn bool
		want   string
	}{
		{"bit flipped", flipped, true, "checksum"},
		{"records garbled, checksum right", reseal(garbled), true, "malformed"},
		{"no length", noLength, false, "impossible length"},
		{"length that never ends", endless, false, "cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, embedded())
			log := [][]byte{batch(t, 0, wire.None, "a", "b"), tt.bad, batch(t, 4, wire.None, "c")}
			b.answerFetch(5, func(offset int64) []byte {
				switch offset {
				case 0:
					return bytes.Join(log, nil)
				case 2:
					return bytes.Join(log[1:], nil)
				}
				return nil
			})
			f := b.fetcher(fetch.Options{MaxRecord: 1 << 19})
			f.Add(b.part(0), 0)
			want := []string{"a", "b"}
			if tt.goesOn {
				want = append(want, "c")
			}
			got := b.read(f, func(s *seen) bool { return len(s.values[0]) >= len(want) && len(s.errs) > 0 })
			if diff := cmp.Diff(want, got.values[0]); diff != "" {
				t.Error(diff)
			}
			bad, ok := errors.AsType[*fetch.PartitionError](got.errs[0])
			if !ok || len(got.errs) != 1 || bad.Offset != 2 || bad.Topic != b.topic || bad.Partition != 0 ||
				!strings.Contains(bad.Error(), tt.want) {
				t.Fatalf("got %v", got.errs)
			}
			if tt.goesOn != (bad.Next == 4) || tt.goesOn == (bad.Next == -1) {
				t.Errorf("goes on at %d", bad.Next)
			}
			if n := f.Stats().Corrupt; n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
}

// TestBadBatchAtTheEnd is passed by its own header, if that can be.
func TestBadBatchAtTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	bad := batch(t, 0, wire.None, "x", "y")
	bad[len(bad)-3] ^= 1
	b.answerFetch(3, func(offset int64) []byte {
		switch offset {
		case 0:
			return bad
		case 2:
			return batch(t, 2, wire.None, "c")
		}
		return nil
	})
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	got := b.read(f, nextIs(3))
	if diff := cmp.Diff([]string{"c"}, got.values[0]); diff != "" || len(got.errs) != 1 {
		t.Error(diff, got.errs)
	}
}

// TestBatchesOfOneRecord is invariant 19: 5,000 one-record batches in one response take about the memory
// that they have on the wire.
func TestBatchesOfOneRecord(t *testing.T) {
	const batches, size = 5000, 300
	b := setup(t, 1, embedded())
	var log []byte
	for i := range int64(batches) {
		log = append(log, batch(t, i, wire.None, strings.Repeat("x", size))...)
	}
	s := b.client.Settings()
	s.MaxPartitionFetchBytes = 4 << 20
	client, err := kafka.NewClient(b.cluster.Servers(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b.client = client
	b.answerFetch(batches, func(offset int64) []byte {
		if offset == 0 {
			return log
		}
		return nil
	})
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	b.waitFor(func() bool { return f.Stats().Buffered > 0 })
	buffered := live()
	n := 0
	for n < batches {
		c, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(c.Records)
	}
	decoded := live()
	wireSize := uint64(len(log))
	t.Logf("%d bytes on the wire: %d live when buffered, %d when decoded", wireSize, int64(buffered)-int64(before),
		int64(decoded)-int64(before))
	if limit := before + 6*wireSize; buffered > limit || decoded > limit {
		t.Errorf("more than six times the wire's bytes are live")
	}
	b.waitFor(func() bool { return f.Stats().Requests > 2 })
	if _, err := f.Next(shortly(t)); err == nil {
		t.Error("something came after the end")
	}
	if got := f.Stats().Buffered; got != 0 {
		t.Errorf("%d bytes are still counted", got)
	}
}

// TestSlowOwnerBoundsMemory reads nothing: the brokers are asked no further than the bound allows.
func TestSlowOwnerBoundsMemory(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	one := strings.Repeat("x", 100<<10)
	b.answerFetch(1<<40, func(offset int64) []byte { return batch(t, offset, wire.None, one) })
	f := b.fetcher(fetch.Options{MaxBuffered: 1 << 20})
	f.Add(b.part(0), 0)
	b.waitFor(func() bool { return f.Stats().Buffered >= 1<<20 })
	requests := f.Stats().Requests
	for range 20 {
		if n := f.Stats().Buffered; n > 2<<20 {
			t.Fatalf("%d bytes buffered", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := f.Stats().Requests; n > requests+1 {
		t.Errorf("%d requests more", n-requests)
	}
	b.read(f, nextIs(100)) // and on it goes
}

// TestCodes has each error code of section "codes per partition" come a few times, then the records. The
// partition beside it is not disturbed.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{
		kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable, kerr.NotLeaderForPartition, kerr.ReplicaNotAvailable,
		kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.OffsetNotAvailable,
		kerr.UnknownServerError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 2, embedded())
			b.produce(b.producer, &kgo.Record{Value: []byte("a")}, &kgo.Record{Partition: 1, Value: []byte("b")})
			h := b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: b.topic, Partitions: []int32{0},
				Err: e, Count: 3})
			f := b.fetcher(fetch.Options{})
			f.Add(b.part(0), 0)
			f.Add(b.part(1), 0)
			began := time.Now()
			got := b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 && len(s.values[1]) > 0 })
			if got.errs != nil {
				t.Error(got.errs)
			}
			if d := time.Since(began); d < 300*time.Millisecond {
				t.Errorf("three failures and their pauses took %s", d)
			}
			if n := h.Hits(); n != 3 {
				t.Errorf("%d failures", n)
			}
		})
	}
}

// TestWireVersions is invariant 20: what is sent lies above the floors of Kafka 4.
func TestWireVersions(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, embedded())
	floors := map[int16]int16{1: 4, 2: 1, 3: 0, 18: 0}
	var mu sync.Mutex
	sent := make(map[int16]int16)
	fake := b.cluster.Fake()
	fake.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		mu.Lock()
		defer mu.Unlock()
		sent[r.Key()] = r.GetVersion()
		return nil, nil, false
	})
	f := b.fetcher(fetch.Options{})
	f.AddAt(b.part(0), kafka.FirstOffset)
	b.waitFor(func() bool { return f.Stats().Requests > 1 })
	mu.Lock()
	defer mu.Unlock()
	for key, version := range sent {
		if floor, ok := floors[key]; !ok || version <= floor && floor > 0 {
			t.Errorf("%s version %d: the floor is %d", kmsg.NameForKey(key), version, floor)
		}
	}
	if sent[1] != 11 {
		t.Errorf("fetch version %d", sent[1])
	}
}
