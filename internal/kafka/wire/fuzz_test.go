package wire

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func FuzzBatch(f *testing.F) {
	for c := None; c <= Zstd; c++ {
		f.Add(build(f, c,
			Record{Time: time.UnixMilli(5), Key: []byte("k"), Value: bytes.Repeat([]byte("value "), 50),
				Headers: []Header{{Name: "a", Value: []byte("b")}}},
			Record{Time: time.UnixMilli(3), Headers: []Header{{Name: "a"}}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		for len(b) > 0 {
			if len(b) > headerSize {
				reseal(b) // past the checksum; right where b is one batch
			}
			batch, rest, err := NextBatch(b)
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			if err == nil {
				records, err := batch.Records(nil, limit)
				if err != nil && len(records) > 0 {
					t.Fatal("records beside an error")
				}
				for _, r := range records {
					if r.Offset < batch.BaseOffset || r.Offset > batch.LastOffset {
						t.Fatalf("offset %d outside of %d..%d", r.Offset, batch.BaseOffset, batch.LastOffset)
					}
					if len(r.Key)+len(r.Value) > max(limit, len(b)) {
						t.Fatal("a record longer than its batch")
					}
				}
			}
			b = rest
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(build(f, None, Record{Key: []byte("k"), Value: []byte("v"), Headers: []Header{{Name: "n"}}})[headerSize:],
		int8(0), 1)
	f.Add([]byte{12, 0, 0, 0, 1, 1, 0}, int8(2), 3)
	f.Fuzz(func(t *testing.T, b []byte, attributes int8, count int) {
		batch := Batch{LastOffset: 1 << 20, Attributes: int16(attributes), Count: max(count, 0), records: b}
		_, _ = batch.Records(nil, 1<<16)
	})
}

// FuzzFetchResponse reads the same bytes as they come at once, and one by one.
func FuzzFetchResponse(f *testing.F) {
	f.Add(fetchResponse("topic", 3, build(f, None, Record{Value: []byte("v")})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readFetch(bytes.NewReader(b), len(b), nil)
		slow, slowErr := readFetch(iotest.OneByteReader(bytes.NewReader(b)), len(b), nil)
		if !errors.Is(slowErr, err) {
			t.Fatalf("%v, and slowly %v", err, slowErr)
		}
		if diff := cmp.Diff(r, slow); diff != "" {
			t.Fatal(diff)
		}
		if err != nil {
			return
		}
		total := 0
		for _, p := range r.Partitions {
			total += len(p.Records) + 16*len(p.Aborted)
		}
		if total > len(b) {
			t.Fatalf("%d bytes out of %d", total, len(b))
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(1), int64(-5), []byte("k"), []byte("v"), "name", []byte("x"), int8(1))
	f.Fuzz(func(t *testing.T, t1, t2 int64, key, value []byte, name string, header []byte, c int8) {
		want := []Record{
			{Time: time.UnixMilli(t1), Key: key, Value: value, Headers: []Header{{Name: name, Value: header}}},
			{Offset: 1, Time: time.UnixMilli(t2), Value: key, Headers: []Header{{Name: name, Value: value},
				{Name: "", Value: nil}}},
		}
		batch, rest, err := NextBatch(build(t, Compression(uint8(c)%5), want...))
		if err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
		got, err := batch.Records(nil, 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
