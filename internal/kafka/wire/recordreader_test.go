package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// compressed returns a batch of count records whose bytes are unpacked ones, written with c.
func compressed(t testing.TB, c Compression, count int, unpacked []byte) Batch {
	t.Helper()
	b := Builder{n: count, buf: append(make([]byte, headerSize), unpacked...)}
	sealed, err := b.Seal(NoProducer(), c)
	if err != nil {
		t.Fatal(err)
	}
	batch, _, err := NextBatch(sealed)
	if err != nil || batch.Compression() != c && len(unpacked) > 1000 {
		t.Fatal(batch.Compression(), err)
	}
	return batch
}

// rawRecord returns a record as it lies in a batch, with n headers that are alike.
func rawRecord(delta int, value []byte, n int, header []byte) []byte {
	body := binary.AppendVarint([]byte{0, 0}, int64(delta)) // attributes, time
	body = appendBytes(appendBytes(body, nil), value)
	body = append(binary.AppendVarint(body, int64(n)), bytes.Repeat(header, n)...)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// emptyHeader has no name and no value.
var emptyHeader = []byte{0, 0}

// drain reads all of a batch, and returns what it had, the offsets of the records that were passed over, and what
// else went wrong.
func drain(t testing.TB, b *Batch, limit, most int, each func(*Record)) (n int, passed []int64, err error) {
	t.Helper()
	var r RecordReader
	r.Reset(b, limit, Origin{})
	defer r.Close()
	var records []Record
	for {
		if records, err = r.Read(records[:0], most); err == nil {
			if len(records) == 0 || len(records) > most {
				t.Fatalf("%d records, at most %d were asked for", len(records), most)
			}
			for i := range records {
				each(&records[i])
			}
			n += len(records)
			continue
		}
		large, ok := errors.AsType[*TooLargeError](err)
		switch {
		case ok:
			passed = append(passed, large.Offset)
		case err == io.EOF:
			if r.More() {
				t.Error("more behind the end")
			}
			return n, passed, nil
		default:
			return n, passed, err
		}
	}
}

// TestPieces reads batches of many sizes and codecs in pieces: the same records as at once, none missing, with
// records across the pieces' borders and larger than a piece.
func TestPieces(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 3<<20)
	for i := range noise {
		if noise[i] = byte(random.IntN(256)); i%300 > 100 { // it compresses
			noise[i] = noise[i-100]
		}
	}
	value := func(i, size int) []byte { return noise[i : i+size] }
	for name, sizes := range map[string][]int{
		"small":  {1, 0, 17},
		"many":   make([]int, 200_000),
		"pieces": slicesOf(7_000, 1_500),
		"around a piece": {100, pieceSize - 150, 100, pieceSize, 3, pieceSize + 1, pieceSize - 20, 5, 2 * pieceSize, 1,
			600_000, 600_000},
		"larger than a whole": slicesOf(12, maxWhole/8),
	} {
		for c := None; c <= Zstd; c++ {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				t.Parallel()
				var raw []byte
				for i, size := range sizes {
					raw = append(raw, rawRecord(i, value(i%1000, size), i%3, emptyHeader)...)
				}
				b := compressed(t, c, len(sizes), raw)
				at := 0
				n, passed, err := drain(t, &b, 64<<20, 999, func(r *Record) {
					if r.Offset != int64(at) || !bytes.Equal(r.Value, value(at%1000, sizes[at])) || len(r.Headers) != at%3 {
						t.Fatalf("record %d: offset %d, %d bytes, %d headers", at, r.Offset, len(r.Value), len(r.Headers))
					}
					at++
				})
				if n != len(sizes) || passed != nil || err != nil {
					t.Errorf("%d records of %d, %v, %v", n, len(sizes), passed, err)
				}
			})
		}
	}
}

func slicesOf(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size + i%13
	}
	return sizes
}

// TestHeldRecordsStay holds all records of a batch that is read in pieces: reading on writes over none of them.
func TestHeldRecordsStay(t *testing.T) {
	t.Parallel()
	const n = 9_000
	for c := Gzip; c <= Zstd; c++ {
		var raw []byte
		for i := range n {
			raw = append(raw, rawRecord(i, fmt.Appendf(nil, "%01000d", i), 0, nil)...)
		}
		b := compressed(t, c, n, raw)
		var held []Record
		if _, _, err := drain(t, &b, 64<<20, 100, func(r *Record) { held = append(held, *r) }); err != nil {
			t.Fatal(err)
		}
		for i, r := range held {
			if string(r.Value) != fmt.Sprintf("%01000d", i) {
				t.Fatalf("%s: record %d became %.20q", c, i, r.Value)
			}
		}
	}
}

// TestTooLargeRecords passes over the records that take too much memory, and no others, wherever they are.
func TestTooLargeRecords(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	for c := None; c <= Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			raw := rawRecord(0, []byte("first"), 0, nil)
			raw = append(raw, rawRecord(1, nil, limit/headerMemory, emptyHeader)...) // by its headers alone
			raw = append(raw, rawRecord(2, []byte("between"), 2, emptyHeader)...)
			raw = append(raw, rawRecord(3, bytes.Repeat([]byte("v"), 2*limit), 0, nil)...)
			raw = append(raw, rawRecord(4, []byte("v"), 6<<20, emptyHeader)...)
			raw = append(raw, rawRecord(5, []byte("last"), 0, nil)...)
			b := compressed(t, c, 6, raw)
			var got []string
			n, passed, err := drain(t, &b, limit, 100, func(r *Record) {
				got = append(got, fmt.Sprintf("%d %.8s", r.Offset, r.Value))
			})
			want, large := "[0 first 2 between 5 last]", "[1 3 4]"
			if c == None {
				want, large = "[0 first 2 between 3 vvvvvvvv 5 last]", "[1 4]" // its value is in memory anyway
			}
			if fmt.Sprint(got) != want || fmt.Sprint(passed) != large || err != nil {
				t.Errorf("%d records %v, passed over %v, %v", n, got, passed, err)
			}
		})
	}
}

// TestImpossibleLengths passes over, or refuses, a record that says it is larger than anything, whatever it says of
// its headers: no more of it is unpacked than its beginning.
func TestImpossibleLengths(t *testing.T) {
	for _, size := range []int64{1 << 21, 1 << 40, math.MaxInt64} {
		for _, headers := range []int64{0, 1, -1, 1 << 40, math.MaxInt64, math.MinInt64} {
			raw := append(binary.AppendVarint(nil, size), 0, 0, 0, 1, 1) // attributes, time, offset, no key, no value
			raw = append(binary.AppendVarint(raw, headers), make([]byte, 8<<20)...)
			b := compressed(t, Gzip, 1, raw)
			read := func() {
				if n, _, _ := drain(t, &b, 1<<20, 100, func(*Record) {}); n > 0 {
					t.Errorf("%d bytes, %d headers: a record", size, headers)
				}
			}
			read() // pools are filled
			if n := allocatedBy(read); n > 1<<20 {
				t.Errorf("%d bytes, %d headers: %d bytes allocated", size, headers, n)
			}
		}
	}
}

// TestEndsEarly is an error behind the records that are there, when a batch has fewer than it says, or is cut off.
func TestEndsEarly(t *testing.T) {
	t.Parallel()
	for c := None; c <= Zstd; c++ {
		var raw []byte
		for i := range 9_000 {
			raw = append(raw, rawRecord(i, fmt.Appendf(nil, "%01000d", i), 0, nil)...)
		}
		for _, cut := range []int{0, 1, 5, 990, 1007} {
			b := compressed(t, c, 9_001, raw[:len(raw)-cut])
			whole := 9_000
			if cut > 0 {
				whole--
			}
			n, _, err := drain(t, &b, 64<<20, 4096, func(*Record) {})
			if _, ok := errors.AsType[*CorruptError](err); !ok || n != whole {
				t.Errorf("%s without %d bytes: %d records, %v", c, cut, n, err)
			}
		}
	}
}

// TestThirtyMillionHeaders passes over a record of a few kilobytes that would take 1.2 GB, and reads the one behind
// it, in little memory.
func TestThirtyMillionHeaders(t *testing.T) {
	raw := rawRecord(0, nil, manyHeaders, emptyHeader)
	raw = append(raw, rawRecord(1, []byte("behind"), 0, nil)...)
	for c := Gzip; c <= Zstd; c++ {
		b := compressed(t, c, 2, raw)
		var last string
		var n int
		var passed []int64
		var err error
		allocated := allocatedBy(func() {
			n, passed, err = drain(t, &b, 64<<20, 100, func(r *Record) { last = string(r.Value) })
		})
		if n != 1 || last != "behind" || fmt.Sprint(passed) != "[0]" || err != nil {
			t.Errorf("%s: %d records, the last %q, passed over %v, %v", c, n, last, passed, err)
		}
		if allocated > 40<<20 { // 15 MiB, where a zstd decoder with its window and blocks is made
			t.Errorf("%s: %d bytes allocated", c, allocated)
		}
	}
}

// hostileRecords makes the records of hostile batches of size n.
var hostileRecords = map[string]func(n int) (count int, raw []byte){
	"many headers in one record": func(n int) (int, []byte) { return 1, rawRecord(0, nil, n, emptyHeader) },
	"headers of many names": func(n int) (int, []byte) {
		return 1, rawRecord(0, nil, n, []byte{2, 'a', 0})
	},
	"many headers in many records": func(n int) (int, []byte) {
		return n / 1000, bytes.Repeat(rawRecord(0, nil, 1000, emptyHeader), n/1000)
	},
	"one record with headers, then none": func(n int) (int, []byte) {
		return n, append(rawRecord(0, nil, 4000, emptyHeader), bytes.Repeat(rawRecord(0, nil, 0, nil), n-1)...)
	},
	"empty records": func(n int) (int, []byte) { return n, bytes.Repeat(rawRecord(0, nil, 0, nil), n) },
	"records with growing headers": func(n int) (int, []byte) {
		var raw []byte
		count := 0
		for total := 0; total < n; count++ {
			raw = append(raw, rawRecord(0, nil, count%512, emptyHeader)...)
			total += count % 512
		}
		return count, raw
	},
	"one value": func(n int) (int, []byte) { return 1, rawRecord(0, make([]byte, 16*n), 0, nil) },
}

// drainHostile reads a hostile batch with the limit of one record, and has what one Read returns be in bounds: all
// records but the last within a piece, and each within the limit.
func drainHostile(t *testing.T, b *Batch, limit int) {
	t.Helper()
	var r RecordReader
	r.Reset(b, limit, Origin{})
	defer r.Close()
	for {
		records, err := r.Read(nil, 4096)
		if _, passed := errors.AsType[*TooLargeError](err); passed {
			continue
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		held, last := 0, 0
		for i := range records {
			last = int(unsafe.Sizeof(records[i])) + len(records[i].Headers)*int(unsafe.Sizeof(Header{}))
			held += last
			if last > limit {
				t.Fatalf("a record of %d headers takes %d bytes, at most %d are allowed", len(records[i].Headers), last, limit)
			}
		}
		if held-last > pieceMemory {
			t.Fatalf("%d records of one Read take %d bytes, all but the last %d", len(records), held, held-last)
		}
	}
}

// TestAmplification reads hostile batches and such that are twice as large: twice the memory may be allocated, and no
// more, twice the steps are taken, and what is in work at one time is bounded. In the larger ones a record may be
// beyond the limit.
func TestAmplification(t *testing.T) {
	const n, limit = 100_000, 6 << 20
	const constant = 40 << 20 // decoders with their windows and blocks may be made, when pools are empty
	for name, shape := range hostileRecords {
		for c := None; c <= Zstd; c++ {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				measure := func(n int) int {
					count, raw := shape(n)
					b := compressed(t, c, count, raw)
					read := func() { drainHostile(t, &b, limit) }
					read() // pools are filled
					return allocatedBy(read)
				}
				once, twice := measure(n), measure(2*n)
				if twice > 2*once+constant {
					t.Errorf("%d bytes allocated, and %d for twice as much", once, twice)
				}
			})
		}
	}
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 10_000, 40, func(n int) (bytes int) {
			for _, shape := range hostileRecords {
				for c := None; c <= Zstd; c++ {
					count, raw := shape(n)
					b := compressed(t, c, count, raw)
					drainHostile(t, &b, limit)
					bytes += len(raw)
				}
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/internal/kafka/wire")
	})
}

// TestPiecesAreBounded has no Read take much more than pieceMemory, whatever the records are.
func TestPiecesAreBounded(t *testing.T) {
	b := compressed(t, Gzip, 20_000, bytes.Repeat(rawRecord(0, nil, 1000, emptyHeader), 20_000)) // 800 MB of headers
	var r RecordReader
	r.Reset(&b, 64<<20, Origin{})
	defer r.Close()
	for range 50 {
		var records []Record
		var err error
		allocated := allocatedBy(func() { records, err = r.Read(nil, 4096) })
		// and the records themselves, and room for headers of records to come
		if err != nil || allocated > pieceMemory+pieceSize+2<<20 {
			t.Fatalf("%d records, %d bytes, %v", len(records), allocated, err)
		}
	}
}

// TestLyingSizes does not believe what a batch says that it unpacks to.
func TestLyingSizes(t *testing.T) {
	raw := rawRecord(0, []byte("value"), 0, nil)
	gz := compressed(t, Gzip, 1, append(raw, make([]byte, 100)...))
	binary.LittleEndian.PutUint32(gz.records[len(gz.records)-4:], 1<<31)
	lying := map[string]Batch{"gzip": gz}
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0} // a single segment with a size of 4 bytes
	frame = append(binary.LittleEndian.AppendUint32(frame, 60<<20), 1, 0, 0)
	lying["zstd"] = Batch{Attributes: int16(Zstd), Count: 1, records: frame}
	block := append(binary.AppendUvarint(nil, 60<<20), 0, 'x')
	lying["snappy"] = Batch{Attributes: int16(Snappy), Count: 1, records: block}
	xerial := append(bytes.Clone(xerialMagic), make([]byte, 8)...)
	xerial = append(binary.BigEndian.AppendUint32(xerial, uint32(len(block))), block...)
	lying["xerial"] = Batch{Attributes: int16(Snappy), Count: 1, records: xerial}
	for name, b := range lying {
		if n := allocatedBy(func() { _, _ = b.Records(nil, 64<<20) }); n > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// TestOtherWriters unpacks what other clients write: bare snappy, zstd without a size, in several frames, and with a
// wide window.
func TestOtherWriters(t *testing.T) {
	t.Parallel()
	const n = 12_000
	var raw []byte
	for i := range n {
		raw = append(raw, rawRecord(i, fmt.Appendf(nil, "%01000d", i), 0, nil)...)
	}
	stream := func(opts ...zstd.EOption) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, opts...)
		if err != nil {
			t.Fatal(err)
		}
		for rest := raw; len(rest) > 0; rest = rest[min(1000, len(rest)):] {
			if _, err := w.Write(rest[:min(1000, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	half := len(raw) / 2
	tests := map[string]Batch{
		"snappy":            {Attributes: int16(Snappy), records: snappy.Encode(nil, raw)},
		"zstd stream":       {Attributes: int16(Zstd), records: stream()},
		"zstd wide window":  {Attributes: int16(Zstd), records: stream(zstd.WithWindowSize(32 << 20))},
		"zstd one segment":  {Attributes: int16(Zstd), records: enc.EncodeAll(raw, nil)},
		"zstd several ones": {Attributes: int16(Zstd), records: enc.EncodeAll(raw[half:], enc.EncodeAll(raw[:half], nil))},
	}
	for name, b := range tests {
		b.Count, b.LastOffset = n, n-1
		got, passed, err := drain(t, &b, 64<<20, 4096, func(*Record) {})
		if got != n || passed != nil || err != nil {
			t.Errorf("%s: %d records, %v, %v", name, got, passed, err)
		}
	}
}

// allocatedBy returns how many bytes one call of f allocates. It is for tests that do not run beside others, and for
// bounds far above what the runtime allocates meanwhile.
func allocatedBy(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}
