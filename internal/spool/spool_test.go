package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
)

// record returns the record with a number: its length and bytes tell which one it is.
func record(i uint64) []byte {
	return append(binary.BigEndian.AppendUint64(nil, i), filler[:i*i*7%400]...)
}

func isRecord(i uint64, b []byte) bool {
	return len(b) >= 8 && binary.BigEndian.Uint64(b) == i && string(b[8:]) == filler[:i*i*7%400]
}

var filler = strings.Repeat("some text. ", 40)

// proof reports whether the long forms of the tests are to run (make proof).
func proof() bool { return os.Getenv("KAFKAESK_PROOF") != "" }

// segmentSize is how large the segment is of which every byte is damaged in turn.
func segmentSize() int64 {
	if proof() {
		return 64 << 10
	}
	return 6 << 10
}

func records(first uint64, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = record(first + uint64(i))
	}
	return list
}

// readAll reads what is there, and checks that each record is the one of its number. It returns the numbers from where
// and to where, and how many of those are lost.
func readAll(t testing.TB, s *Spool) (first, end, lost uint64) {
	t.Helper()
	first, end = s.reader.next, s.reader.next
	for {
		b, err := s.Read(7, 1000)
		if err != nil {
			t.Fatal(err)
		}
		lost += b.Lost
		end += b.Lost
		if b.First != end {
			t.Fatalf("the next record has the number %d, want %d", b.First, end)
		}
		if len(b.Records) == 0 {
			return first, end, lost
		}
		for _, r := range b.Records {
			if !isRecord(end, r) {
				t.Fatalf("record %d is %q", end, r)
			}
			end++
		}
	}
}

func mustOpen(t testing.TB, fs fileSystem, sync Sync) *Spool {
	t.Helper()
	s, err := open(fs, Config{MaxBytes: MinBytes, Sync: sync})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustAppend(t testing.TB, s *Spool, n int) {
	t.Helper()
	if k, err := s.Append(records(s.Next(), n)); k != n || err != nil {
		t.Fatalf("Append = %d, %v, want %d", k, err, n)
	}
}

// history is what a script did to a spool before its file system stopped.
type history struct {
	written  uint64 // records below it are synced, by what Append or Sync said
	finished uint64 // the highest number that Finish was called with
}

// script appends, reads, finishes and opens again, until the file system stops or steps are done.
func script(fs *crashFS, sync Sync, steps int) (h history) {
	random := rand.New(rand.NewPCG(1, 2))
	s, err := open(fs, Config{MaxBytes: MinBytes, Sync: sync})
	for step := 0; err == nil && step < steps; step++ {
		switch what := random.IntN(100); {
		case what < 50:
			_, err = s.Append(records(s.Next(), 1+random.IntN(6)))
			if errors.Is(err, ErrFull) {
				err = nil
			}
			if sync == SyncEach {
				h.written = max(h.written, s.Next())
			}
		case what < 70:
			_, err = s.Read(1+random.IntN(10), 1+random.IntN(2000))
		case what < 85:
			h.finished = max(h.finished, s.reader.next)
			err = s.Finish(s.reader.next)
		case what < 95:
			if err = s.Sync(); err == nil {
				h.written = max(h.written, s.Next())
			}
		default:
			if err = s.Close(); err == nil {
				h.written = max(h.written, s.Next())
				s, err = open(fs, Config{MaxBytes: MinBytes, Sync: sync})
			}
		}
	}
	return h
}

// The file system stops at each operation of a script in turn (about 2,000 in make proof). Whatever of what was not
// synced is left, the spool opens, has all records that were synced and are not finished, in order, none that was not
// written, and works.
func TestACrashAtEachOperation(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]Sync{"sync each": SyncEach, "sync later": SyncLater} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := 300
			if proof() {
				steps = 3000
			}
			whole := newCrashFS()
			script(whole, sync, steps)
			cases := 0
			for k := 1; k <= whole.operations; k++ {
				crashed := newCrashFS()
				crashed.stopAt = k
				h := script(crashed, sync, steps)
				for how := range survivals {
					cases++
					afterCrash(t, crashed.restart(how, rand.New(rand.NewPCG(uint64(k), 3))), h,
						fmt.Sprintf("operation %d, survival %d", k, how))
				}
			}
			t.Attr("figures", fmt.Sprintf("%d operations, %d cases", whole.operations, cases))
		})
	}
}

func afterCrash(t *testing.T, fs *crashFS, h history, where string) {
	t.Helper()
	s, err := open(fs, Config{MaxBytes: MinBytes})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	first, end, lost := readAll(t, s)
	if first > h.finished || end < h.written || lost > 0 {
		t.Fatalf("%s: records %d to %d are there, %d lost; want %d to %d", where, first, end, lost, h.finished, h.written)
	}
	if err := s.Finish(end); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	mustAppend(t, s, 3)
	if first, now, lost := readAll(t, s); first != end || now != end+3 || lost > 0 {
		t.Fatalf("%s: the next records are %d to %d, %d lost", where, first, now, lost)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
}

// segmentOf returns a file system with one segment of about so many bytes, its name, and how many records it has.
func segmentOf(t testing.TB, size int64) (fs *crashFS, name string, n uint64) {
	t.Helper()
	fs = newCrashFS()
	s := mustOpen(t, fs, SyncNever)
	s.segmentBytes, s.max = size, 2*size+ledgerSize
	for s.Bytes() < size+ledgerSize {
		mustAppend(t, s, 1)
	}
	if len(s.segments) != 1 {
		t.Fatalf("there are %d segments", len(s.segments))
	}
	return fs, s.segments[0].name(), s.Next()
}

// A segment is cut at every byte (64 KiB of them in make proof). What is left is a prefix of its records, and nothing
// counts as lost.
func TestASegmentCutAtEveryByte(t *testing.T) {
	t.Parallel()
	fs, name, n := segmentOf(t, segmentSize())
	whole := fs.names[name].data
	before := n
	for size := len(whole); size >= 0; size-- {
		cut := fs.restart(allSurvives, nil)
		cut.names[name].data = whole[:size:size]
		s := mustOpen(t, cut, SyncEach)
		if first, end, lost := readAll(t, s); first != 0 || end > before || before-end > 1 || lost > 0 {
			t.Fatalf("cut at %d: records %d to %d, %d lost, where one byte more left %d", size, first, end, lost, before)
		} else {
			before = end
		}
	}
	if before != 0 {
		t.Errorf("a segment without a byte has %d records", before)
	}
	t.Attr("figures", fmt.Sprintf("%d cases, %d records", len(whole)+1, n))
}

// Every byte of a segment (64 KiB in make proof) is changed in turn, by one bit and by all. What can be read is a
// prefix of its records, and the rest counts as lost: but for the last record, of which nobody can tell that it was
// ever written.
func TestASegmentWithEveryByteFlipped(t *testing.T) {
	t.Parallel()
	fs, name, n := segmentOf(t, segmentSize())
	whole := fs.names[name].data
	starts := frameStarts(t, whole)
	for at := range whole {
		flip := byte(1) << (at % 8)
		if at%9 == 8 {
			flip = 0xff
		}
		damaged := fs.restart(allSurvives, nil)
		damaged.names[name].data[at] ^= flip
		s := mustOpen(t, damaged, SyncEach)
		hit := starts[at]
		wantEnd, wantLost := n, n-hit
		if hit == n-1 {
			wantEnd, wantLost = n-1, 0
		}
		if first, end, lost := readAll(t, s); first != 0 || end != wantEnd || lost != wantLost {
			t.Fatalf("byte %d, of record %d of %d: records %d to %d, %d lost", at, hit, n, first, end, lost)
		}
	}
	t.Attr("figures", fmt.Sprintf("%d cases, %d records", len(whole), n))
}

// frameStarts returns, for each byte, the record that it belongs to.
func frameStarts(t *testing.T, data []byte) (of []uint64) {
	t.Helper()
	for rest := data; len(rest) > 0; {
		_, number, n := parseFrame(rest)
		if n <= 0 {
			t.Fatal("the segment is damaged")
		}
		for range n {
			of = append(of, number)
		}
		rest = rest[n:]
	}
	return of
}

// Damage in a segment before the last, a segment that is missing, and one that was cut, cost what is behind the place
// in that segment. What follows is read.
func TestDamageInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(fs *crashFS, name string){
		"a flipped bit": func(fs *crashFS, name string) { fs.names[name].data[len(fs.names[name].data)/2] ^= 4 },
		"cut":           func(fs *crashFS, name string) { fs.names[name].data = fs.names[name].data[:100] },
		"missing":       func(fs *crashFS, name string) { delete(fs.names, name) },
		"zeros":         func(fs *crashFS, name string) { clear(fs.names[name].data) },
		"empty":         func(fs *crashFS, name string) { fs.names[name].data = nil },
		"longer":        func(fs *crashFS, name string) { fs.names[name].data = bytes.Repeat([]byte(frameMark), 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := newCrashFS()
			s := mustOpen(t, fs, SyncLater)
			for len(s.segments) < 5 {
				mustAppend(t, s, 1)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			hit := s.segments[2]
			damage(fs, hit.name())
			s = mustOpen(t, fs, SyncLater)
			pending := s.Next() - s.Done()
			_, end, lost := readAll(t, s)
			if lost == 0 || lost > hit.end-hit.first || end != pending {
				t.Errorf("%d of %d are lost, of a segment with the records %d to %d", lost, pending, hit.first, hit.end)
			}
			if err := s.Finish(end); err != nil {
				t.Fatal(err)
			}
			if n := len(fs.names); n != 1 {
				t.Errorf("%d files are left of a finished spool, want the ledger", n)
			}
		})
	}
}

// A record whose bytes are those of a frame makes nothing out of nothing, also when it is cut off.
func TestARecordThatLooksLikeAFrame(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	s := mustOpen(t, fs, SyncEach)
	inner := appendFrame(appendFrame(nil, 1, []byte("invented")), 1<<40, []byte("invented, too"))
	if _, err := s.Append([][]byte{[]byte("real"), inner}); err != nil {
		t.Fatal(err)
	}
	name := s.last().name()
	f := fs.names[name]
	f.data = f.data[:len(f.data)-1]
	s = mustOpen(t, fs, SyncEach)
	b, err := s.Read(100, 1<<20)
	if err != nil || len(b.Records) != 1 || string(b.Records[0]) != "real" || b.Lost != 0 {
		t.Fatalf("Read = %q, %d lost, %v", b.Records, b.Lost, err)
	}
	if b, err = s.Read(100, 1<<20); err != nil || len(b.Records) != 0 || b.Lost > 1 {
		t.Errorf("Read = %q, %d lost, %v", b.Records, b.Lost, err)
	}
}

// The files stay within the bound, whatever is appended; what is finished makes room.
func TestTheBound(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	s := mustOpen(t, fs, SyncLater)
	for round := range 5 {
		n, err := s.Append(records(s.Next(), 1000))
		if !errors.Is(err, ErrFull) || n == 0 {
			t.Fatalf("round %d: Append = %d, %v", round, n, err)
		}
		if fs.size() > MinBytes || s.Bytes() != fs.size() {
			t.Fatalf("the files have %d bytes, Bytes says %d, the bound is %d", fs.size(), s.Bytes(), MinBytes)
		}
		if _, err := s.Append(records(s.Next(), 1000)); !errors.Is(err, ErrFull) {
			t.Fatalf("a full spool takes records: %v", err)
		}
		_, end, lost := readAll(t, s)
		if lost > 0 || end != s.Next() {
			t.Fatalf("%d lost", lost)
		}
		if err := s.Finish(end - 1); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that is full refuses records, and keeps those it has. When there is room again it takes more, and the ledger
// could be advanced all the time.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	fs.full = 30_000
	s := mustOpen(t, fs, SyncEach)
	if _, err := s.Append(records(0, 1000)); err == nil || errors.Is(err, ErrFull) ||
		!strings.Contains(err.Error(), "no space") {
		t.Fatalf("Append = %v", err)
	}
	written := s.Next()
	for range 10 {
		if n, err := s.Append(records(s.Next(), 50)); err == nil {
			t.Fatalf("a full disk has taken %d records", n)
		}
	}
	if got := len(fs.names); got > 6+1+1 { // 22,000 bytes are six segments, and one that was left
		t.Errorf("failed attempts left files: there are %d", got)
	}
	if _, end, lost := readAll(t, s); end != s.Next() || lost > 0 {
		t.Fatalf("%d of %d can be read, %d lost", end, written, lost)
	}
	if err := s.Finish(s.Next() / 2); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, 20)
	if first, end, lost := readAll(t, s); end-first != 20 || lost > 0 {
		t.Errorf("the next records are %d to %d, %d lost", first, end, lost)
	}
}

// After a sync that failed, the file is not synced again, and records that Append refused are not there twice.
func TestASyncThatFails(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	s := mustOpen(t, fs, SyncEach)
	mustAppend(t, s, 5)
	before := s.active
	fs.failSync = true
	if n, err := s.Append(records(5, 5)); n != 0 || err == nil || s.Next() != 5 {
		t.Fatalf("Append = %d, %v", n, err)
	}
	fs.failSync = false
	mustAppend(t, s, 5)
	if s.active == before {
		t.Error("the spool goes on with the file whose sync has failed")
	}
	if _, end, lost := readAll(t, s); end != 10 || lost > 0 {
		t.Errorf("%d records, %d lost", end, lost)
	}
	s = mustOpen(t, fs, SyncEach)
	if _, end, lost := readAll(t, s); end != 10 || lost > 0 {
		t.Errorf("after opening again: %d records, %d lost", end, lost)
	}
}

// A ledger that cannot be written keeps the segments, and one that is damaged costs repeated records only.
func TestALedgerThatFails(t *testing.T) {
	t.Parallel()
	fs := newCrashFS()
	s := mustOpen(t, fs, SyncNever)
	mustAppend(t, s, 60)
	readAll(t, s)
	files := len(fs.names)
	fs.failSync = true
	if err := s.Finish(60); err == nil || s.Done() != 0 || len(fs.names) != files {
		t.Fatalf("Finish = %v, records below %d are finished, of %d files %d are left", err, s.Done(), files, len(fs.names))
	}
	fs.failSync = false
	if err := s.Finish(30); err != nil {
		t.Fatal(err)
	}
	if s = mustOpen(t, fs, SyncNever); s.Done() != 30 {
		t.Errorf("the ledger says %d, want 30", s.Done())
	}
	clear(fs.names[ledgerName].data)
	s = mustOpen(t, fs, SyncNever)
	if first, end, lost := readAll(t, s); first > 30 || end != 60 || lost > 0 {
		t.Errorf("without a ledger the records are %d to %d, %d lost", first, end, lost)
	}
}

func TestADirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "spool")
	config := Config{Dir: dir, MaxBytes: 1 << 20}
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, 500)
	if _, err := Open(config); !errors.Is(err, filelock.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second owner gets %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has the mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has the mode %v (%v)", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, end, lost := readAll(t, s); end != 500 || lost > 0 {
		t.Errorf("%d records, %d lost", end, lost)
	}
	if err := s.Finish(500); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Append(records(500, 1)); err == nil {
		t.Errorf("%d records were taken by a directory that is gone", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A volume that others can write, as Kubernetes mounts one, has the files in a directory that they cannot enter.
func TestADirectoryThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	config := Config{Dir: dir, MaxBytes: 1 << 20}
	for round := range uint64(2) {
		s, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		if s.Next() != 10*round {
			t.Errorf("there are %d records, want %d", s.Next(), 10*round)
		}
		if _, err := Open(config); !errors.Is(err, filelock.ErrLocked) {
			t.Errorf("a second owner gets %v", err)
		}
		mustAppend(t, s, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("there are %v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has the mode %v (%v)", info.Mode(), err)
	}
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "file")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(dir, "ro")
	if err := os.Mkdir(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	tests := map[string]Config{
		"a file":         {Dir: filepath.Join(inTheWay, "spool"), MaxBytes: 1 << 20},
		"a small bound":  {Dir: filepath.Join(dir, "s"), MaxBytes: MinBytes - 1},
		"the file alone": {Dir: inTheWay, MaxBytes: 1 << 20},
	}
	if os.Geteuid() != 0 { // who may write anywhere
		tests["read only"] = Config{Dir: readOnly, MaxBytes: 1 << 20}
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := Open(config); err == nil {
				t.Errorf("it was opened: %v", s.Close())
			} else if !strings.Contains(err.Error(), config.Dir) && !strings.Contains(err.Error(), inTheWay) {
				t.Errorf("the error does not name the directory: %v", err)
			}
		})
	}
}

// FuzzSegment opens a segment of any bytes: what it returns is in it, frame by frame.
func FuzzSegment(f *testing.F) {
	fs, name, _ := segmentOf(f, 2000)
	f.Add(fs.names[name].data)
	f.Add([]byte(frameMark))
	f.Fuzz(func(t *testing.T, data []byte) {
		fs := newCrashFS()
		fs.names[(&segment{}).name()] = &crashFile{fs: fs, data: data}
		s := mustOpen(t, fs, SyncEach)
		var again []byte
		for {
			b, err := s.Read(100, 500)
			if err != nil {
				t.Fatal(err)
			}
			if b.Lost > uint64(len(data)) {
				t.Fatalf("%d records are lost of %d bytes", b.Lost, len(data))
			}
			if len(b.Records) == 0 {
				break
			}
			for i, r := range b.Records {
				again = appendFrame(again, b.First+uint64(i), r)
			}
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("the records read are not those at the beginning of %q", data)
		}
	})
}
