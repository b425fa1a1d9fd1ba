package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const testLimit = 1 << 20

// ms returns a time as a batch has it; 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// build returns a sealed batch of the records.
func build(t testing.TB, c Compression, records ...Record) []byte {
	t.Helper()
	var b Builder
	for _, r := range records {
		b.Append(ms(r.Time), r.Key, r.Value, r.Headers)
	}
	batch, err := b.Seal(NoProducer(), c)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// place moves a batch to where a broker would have written it. The checksum does not cover the offset.
func place(batch []byte, base int64) []byte {
	batch = bytes.Clone(batch)
	binary.BigEndian.PutUint64(batch, uint64(base))
	return batch
}

// reseal makes the checksum of a batch right after a test has changed it.
func reseal(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
	return batch
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	nullable := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "null") {
			return nil
		}
		return append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
	})
	header := rapid.Custom(func(t *rapid.T) Header {
		return Header{Name: rapid.StringN(0, 12, -1).Draw(t, "name"), Value: nullable.Draw(t, "value")}
	})
	record := rapid.Custom(func(t *rapid.T) Record {
		r := Record{
			Time:  time.UnixMilli(rapid.Int64Range(-1<<40, 1<<45).Draw(t, "time")),
			Key:   nullable.Draw(t, "key"),
			Value: nullable.Draw(t, "value"),
		}
		if h := rapid.SliceOfN(header, 0, 4).Draw(t, "headers"); len(h) > 0 {
			r.Headers = h
		}
		return r
	})
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(record, 1, 40).Draw(rt, "records")
		base := rapid.Int64Range(0, 1<<50).Draw(rt, "base")
		c := Compression(rapid.IntRange(0, 4).Draw(rt, "compression"))
		p := Producer{ID: rapid.Int64Range(-1, 1<<40).Draw(rt, "producer"), Epoch: 3, Sequence: 7}
		var b Builder
		maxTime := want[0].Time.UnixMilli()
		for i := range want {
			want[i].Offset = base + int64(i)
			maxTime = max(maxTime, want[i].Time.UnixMilli())
			before := b.Size()
			b.Append(want[i].Time.UnixMilli(), want[i].Key, want[i].Value, want[i].Headers)
			if grown, bound := b.Size()-before, RecordSize(want[i].Key, want[i].Value, want[i].Headers); grown > bound {
				rt.Fatalf("Append added %d bytes, RecordSize said %d", grown, bound)
			}
		}
		size := b.Size()
		sealed, err := b.Seal(p, c)
		if err != nil {
			rt.Fatal(err)
		}
		if len(sealed) > size {
			rt.Fatalf("sealed to %d bytes, Size said %d", len(sealed), size)
		}
		tail := []byte{1, 2, 3}
		batch, rest, err := NextBatch(append(place(sealed, base), tail...))
		if err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(rest, tail) {
			rt.Fatalf("rest %v", rest)
		}
		if batch.BaseOffset != base || batch.LastOffset != base+int64(len(want))-1 || batch.Count != len(want) ||
			batch.BaseTime != want[0].Time.UnixMilli() || batch.MaxTime != maxTime || batch.ProducerID != p.ID ||
			batch.Epoch != p.Epoch || batch.Sequence != p.Sequence || batch.IsControl() || batch.IsTransactional() ||
			batch.Size() != len(sealed) {
			rt.Fatalf("header %+v", batch)
		}
		got, err := batch.Records(nil, testLimit)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestRecordsAppendsAndReusesTheSlab(t *testing.T) {
	t.Parallel()
	one := build(t, None, Record{Value: []byte("a"), Headers: []Header{{Name: "h", Value: []byte("x")}}})
	two := build(t, None, Record{Value: []byte("b")}, Record{Value: []byte("c")})
	first, _, err := NextBatch(one)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := NextBatch(place(two, 1))
	if err != nil {
		t.Fatal(err)
	}
	slab, err := first.Records(nil, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	held := slab[0]
	slab, err = second.Records(slab[:0], testLimit)
	if err != nil {
		t.Fatal(err)
	}
	if slab[0].Headers != nil || string(slab[0].Value) != "b" || slab[1].Offset != 2 {
		t.Errorf("second batch read as %+v", slab)
	}
	if string(held.Value) != "a" || string(held.Headers[0].Value) != "x" {
		t.Errorf("the record held from before became %+v", held)
	}
}

func TestNextBatchErrors(t *testing.T) {
	t.Parallel()
	good := place(build(t, None, Record{Value: []byte("abc")}), 42)
	after := []byte("after")
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return reseal(b) }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		cutOff bool
		goesOn bool // what follows can be read
	}{
		{"empty", func(b []byte) []byte { return nil }, true, false},
		{"cut off in the header", func(b []byte) []byte { return b[:30] }, true, false},
		{"cut off in the records", func(b []byte) []byte { return b[:len(good)-1] }, true, false},
		{"one bit of a value", func(b []byte) []byte { b[len(good)-2] ^= 1; return b }, false, true},
		{"old message format", func(b []byte) []byte { b[atMagic] = 1; return b }, false, true},
		{"unknown magic, no length", func(b []byte) []byte { b[atMagic] = 9; return put32(atLength, 1<<31)(b) }, false,
			false},
		{"length too short", put32(atLength, 10), false, false},
		{"length negative", put32(atLength, 1<<31), false, false},
		{"offset negative", func(b []byte) []byte { b[0] = 0x80; return b }, false, false},
		{"last offset delta negative", put32(atLastDelta, 1<<31), false, true},
		{"count negative", put32(atCount, 1<<31), false, true},
		{"count past the offsets", put32(atCount, 2), false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.change(append(bytes.Clone(good), after...))
			if !tt.cutOff && tt.goesOn {
				// reseal covered what follows, too: seal again over the batch alone
				if tt.name != "one bit of a value" {
					reseal(b[:len(good)])
				}
			}
			_, rest, err := NextBatch(b)
			var corrupt *CorruptError
			switch {
			case tt.cutOff:
				if !errors.Is(err, ErrCutOff) {
					t.Fatalf("got %v, want ErrCutOff", err)
				}
				return
			case !errors.As(err, &corrupt):
				t.Fatalf("got %v, want a CorruptError", err)
			}
			if tt.goesOn != (rest != nil) || tt.goesOn && !bytes.Equal(rest, after) {
				t.Errorf("rest = %q", rest)
			}
			if tt.goesOn && corrupt.Offset != 42 {
				t.Errorf("error at offset %d, want 42", corrupt.Offset)
			}
		})
	}
}

func TestRecordsErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		count   int
		records []byte
	}{
		{"count past the bytes", 1000, []byte{12, 0, 0, 0, 1, 1, 0}},
		{"record longer than the batch", 1, []byte{100, 0, 0, 0, 1, 1, 0}},
		{"record of negative length", 1, []byte{1, 0, 0, 0, 1, 1, 0}},
		{"empty record", 1, []byte{0, 0, 0, 0, 1, 1, 0}},
		{"key longer than the record", 1, []byte{12, 0, 0, 0, 100, 1, 0}},
		{"value of length -2", 1, []byte{12, 0, 0, 0, 1, 3, 0}},
		{"offset outside the batch", 1, []byte{12, 0, 0, 126, 1, 1, 0}},
		{"more headers than bytes", 1, []byte{12, 0, 0, 0, 1, 1, 126}},
		{"header without a name", 1, []byte{16, 0, 0, 0, 1, 1, 2, 1, 1}},
		{"endless varint", 1, bytes.Repeat([]byte{0xff}, 30)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := Batch{BaseOffset: 5, LastOffset: 5, Count: tt.count, records: tt.records}
			dst := []Record{{Offset: 1}}
			got, err := b.Records(dst, testLimit)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Offset != 5 {
				t.Errorf("got %v, want a CorruptError at offset 5", err)
			}
			if len(got) != 1 || got[0].Offset != 1 {
				t.Errorf("dst became %+v", got)
			}
		})
	}
}

func TestLogAppendTime(t *testing.T) {
	t.Parallel()
	b := build(t, None, Record{Time: time.UnixMilli(1000)}, Record{Time: time.UnixMilli(900)})
	b[atAttributes+1] |= attrLogAppend
	binary.BigEndian.PutUint64(b[atMaxTime:], 5000)
	batch, _, err := NextBatch(reseal(b))
	if err != nil {
		t.Fatal(err)
	}
	got, err := batch.Records(nil, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	if ms(got[0].Time) != 5000 || ms(got[1].Time) != 5000 {
		t.Errorf("times %v and %v, want the broker's 5000", got[0].Time, got[1].Time)
	}
}

func TestBombs(t *testing.T) {
	t.Parallel()
	for c := Gzip; c <= Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			b := build(t, c, Record{Value: make([]byte, 4<<20)})
			batch, _, err := NextBatch(b)
			if err != nil {
				t.Fatal(err)
			}
			if batch.Compression() != c {
				t.Fatalf("sealed as %s", batch.Compression())
			}
			_, err = batch.Records(nil, 1<<20)
			large, ok := errors.AsType[*TooLargeError](err)
			if !ok || large.Offset != 0 || large.Limit != 1<<20 {
				t.Errorf("got %v, want a TooLargeError", err)
			}
			if got, err := batch.Records(nil, 5<<20); err != nil || len(got) != 1 {
				t.Errorf("with enough room: %d records, %v", len(got), err)
			}
		})
	}
	t.Run("snappy that lies about its length", func(t *testing.T) {
		t.Parallel()
		lie := binary.AppendUvarint(nil, 1<<31)
		if _, err := unpack(Snappy, append(lie, 0, 0), math.MaxInt); err == nil {
			t.Error("no error")
		}
	})
	t.Run("unknown codec", func(t *testing.T) {
		t.Parallel()
		if _, err := unpack(7, []byte{1}, 100); err == nil {
			t.Error("no error")
		}
	})
}

func TestSealEmptyAndReset(t *testing.T) {
	t.Parallel()
	var b Builder
	if _, err := b.Seal(NoProducer(), None); err == nil {
		t.Error("an empty batch was sealed")
	}
	b.Append(1, nil, []byte("x"), nil)
	b.Reset()
	if b.Len() != 0 || b.Size() != headerSize {
		t.Errorf("after Reset: Len %d, Size %d", b.Len(), b.Size())
	}
	b.Append(2, nil, []byte("y"), nil)
	sealed, err := b.Seal(NoProducer(), None)
	if err != nil {
		t.Fatal(err)
	}
	batch, _, err := NextBatch(sealed)
	if err != nil || batch.BaseTime != 2 || batch.Count != 1 {
		t.Errorf("%+v, %v", batch, err)
	}
}

func TestAppendAllocates(t *testing.T) {
	var b Builder
	value, headers := make([]byte, 200), []Header{{Name: "kafkaesk-id", Value: make([]byte, 36)}}
	for range 2000 {
		b.Append(1, nil, value, headers)
	}
	b.Reset()
	if n := testing.AllocsPerRun(1000, func() { b.Append(1, nil, value, headers) }); n > 0 {
		t.Errorf("%v allocations per Append", n)
	}
}

func TestCompressionNames(t *testing.T) {
	t.Parallel()
	for c := None; c <= Zstd; c++ {
		if got, err := ParseCompression(c.String()); err != nil || got != c {
			t.Errorf("ParseCompression(%q) = %v, %v", c, got, err)
		}
	}
	if _, err := ParseCompression("brotli"); err == nil {
		t.Error("brotli was accepted")
	}
	if s := fmt.Sprint(Compression(9)); s != "compression(9)" {
		t.Error(s)
	}
}

// TestVarint reads numbers of every length, and what is cut off.
func TestVarint(t *testing.T) {
	t.Parallel()
	for bits := range 64 {
		for _, v := range []int64{1 << bits, 1<<bits - 1, -1 << bits, -1<<bits - 1} {
			b := append([]byte{0xff}, binary.AppendVarint(nil, v)...)
			if got, at := varint(append(b, 0xff), 1); got != v || at != len(b) {
				t.Errorf("%d: got %d, ended at %d of %d", v, got, at, len(b))
			}
			for n := range b {
				if _, at := varint(b[:n], 1); at != -1 {
					t.Errorf("%d cut at %d: ended at %d", v, n, at)
				}
			}
		}
	}
}
