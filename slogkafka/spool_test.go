package slogkafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/filelock"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// away has the bus reach no broker.
func (f *fakeBus) away() {
	f.set(func() { f.ready = func() error { return errors.New("no broker answers") } })
}

func (f *fakeBus) back() { f.set(func() { f.ready = nil }) }

func (f *fakeBus) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.taken)
}

// until waits for a state in the time of synctest, which stands still while the disk works.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// logNumbers logs records whose messages are numbers, and never more than the disk keeps up with.
func logNumbers(t testing.TB, h *Handler, from, to int) {
	t.Helper()
	logger := slog.New(h)
	for i := from; i < to; i++ {
		if i%10 == 0 {
			until(t, "the queue has room", func() bool { return h.queue.used.records() <= h.queue.maxRecords*3/4 })
		}
		logger.Info(strconv.Itoa(i))
	}
}

// wantNumbers checks that the records from first to end were taken, once and in order.
func wantNumbers(t testing.TB, f *fakeBus, first, end int) {
	t.Helper()
	got := f.records(t)
	if len(got) != end-first {
		t.Errorf("%d records were delivered, want %d", len(got), end-first)
	}
	for i, r := range got {
		if r.Message != strconv.Itoa(first+i) {
			t.Fatalf("record %d has the message %q", first+i, r.Message)
		}
	}
}

func mustFlush(t testing.TB, h *Handler) {
	t.Helper()
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, h *Handler) {
	t.Helper()
	if err := h.Close(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	balanced(t, h.Stats())
}

// oneKey gives all records one key: it is the records of a key that keep their order.
func oneKey() Option { return Key(func(context.Context, slog.Record) []byte { return []byte("k") }) }

// mustSpool closes the handler, which cannot deliver, and has its records on disk then.
func mustSpool(t testing.TB, h *Handler) {
	t.Helper()
	if err := h.Close(within(t, 3*time.Second)); err != nil {
		t.Fatalf("Close returned %v, although all is on disk", err)
	}
	<-h.store.done
	if s := h.Stats(); s.Queued+s.Dropped > 0 {
		t.Fatalf("the counts are %+v", s)
	}
	balanced(t, h.Stats())
}

// segments returns the segment files of a spool.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What the queue has no room for is on disk while the broker is away, and delivered in order when it is back; what is
// logged then goes there no more.
func TestWhatFindsNoRoomIsSpooled(t *testing.T) {
	t.Parallel()
	syncs := map[string]time.Duration{"sync each batch": 0, "by interval": 10 * time.Millisecond, "never": -1}
	for name, every := range syncs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n = 3000
				f, dir := new(fakeBus), t.TempDir()
				f.away()
				h := fake(f, oneKey(), QueueSize(100, 0), Overflow(Spool(dir, 16<<20)), SpoolSync(every))
				if err := h.Err(); err != nil {
					t.Fatal(err)
				}
				logNumbers(t, h, 0, n)
				until(t, "the queue is at rest", func() bool { return h.Stats().Queued <= 100 })
				if s := h.Stats(); s.Accepted != n || s.Dropped > 0 || s.Spooled < n-100 || len(segments(t, dir)) == 0 {
					t.Errorf("the counts are %+v", s)
				}
				f.back()
				mustFlush(t, h)
				wantNumbers(t, f, 0, n)
				until(t, "nothing goes to the disk", func() bool { return !h.queue.spooling.Load() })
				logNumbers(t, h, n, n+100)
				mustFlush(t, h)
				wantNumbers(t, f, 0, n+100)
				mustClose(t, h)
				if s := h.Stats(); s.Delivered != n+100 || s.Spooled+s.Recovered+s.Dropped+s.Queued+s.Retries > 0 {
					t.Errorf("the counts are %+v", s)
				}
				if left := segments(t, dir); len(left) > 0 {
					t.Errorf("%d files are left", len(left))
				}
			})
		})
	}
}

// What is left at Close is written to the disk, without an error, and the next handler delivers it before its own
// records, with all that belongs to a record.
func TestTheNextStartDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		dir := t.TempDir()
		spool := []Option{
			Overflow(Spool(dir, 16<<20)), oneKey(),
			Stream(func(_ context.Context, r slog.Record) string { return "logs." + r.Message[:1] }),
		}
		first := &fakeBus{hang: true}
		h := fake(first, spool...)
		state, err := trace.ParseTraceState("vendor=1")
		if err != nil {
			t.Fatal(err)
		}
		ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceState: state,
		}))
		for i := range n {
			slog.New(h).InfoContext(ctx, strconv.Itoa(i))
		}
		until(t, "records are on their way", func() bool { return first.tried() > 0 })
		mustSpool(t, h)
		if s := h.Stats(); s.Spooled != n || s.Queued+s.Dropped+s.Delivered > 0 {
			t.Errorf("the counts are %+v", s)
		}
		balanced(t, h.Stats())

		second := new(fakeBus)
		second.away()
		h = fake(second, spool...)
		if s := h.Stats(); s.Recovered != n {
			t.Errorf("the counts of the next handler are %+v", s)
		}
		second.back()
		until(t, "all are delivered, though nothing was logged", func() bool { return second.count() == n })
		logNumbers(t, h, n, n+50)
		mustClose(t, h)
		wantNumbers(t, second, 0, n+50)
		if s := h.Stats(); s.Recovered != n || s.Accepted != 50 || s.Delivered != n+50 {
			t.Errorf("the counts are %+v", s)
		}
		for i, o := range second.taken[:n] {
			headers := make(map[string]string)
			for _, header := range o.Headers {
				headers[header.Name] = string(header.Value)
			}
			if string(o.Key) != "k" || time.Since(o.Time) > time.Minute || len(headers[bus.IDHeader]) != recordid.Length ||
				!strings.HasPrefix(headers["traceparent"], "00-01") || headers["tracestate"] != "vendor=1" {
				t.Fatalf("record %d has the key %q, the time %v and the headers %q", i, o.Key, o.Time, headers)
			}
		}
		h = fake(new(fakeBus), spool...)
		if s := h.Stats(); s.Recovered > 0 {
			t.Errorf("delivered records are there again: %+v", s)
		}
		mustClose(t, h)
	})
}

// A record keeps its id on the way over the disk, so that it can be told when it was delivered before and is again.
func TestARecordKeepsItsIDOverTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ids := func(f *fakeBus) (ids []string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, o := range f.taken {
				ids = append(ids, string(o.Headers[len(o.Headers)-1].Value))
			}
			return ids
		}
		dir := t.TempDir()
		var tried fakeBus
		deaf := &fakeBus{answer: func(o bus.Outgoing) error {
			tried.taken = append(tried.taken, o)
			return bus.ErrAuth // tried again in 30 s
		}}
		h := fake(deaf, oneKey(), Overflow(Spool(dir, 1<<20)))
		logNumbers(t, h, 0, 10)
		until(t, "they were tried", func() bool { return deaf.tried() > 0 && h.lastFailure() != nil })
		mustSpool(t, h)
		f := new(fakeBus)
		h = fake(f, oneKey(), Overflow(Spool(dir, 1<<20)))
		mustClose(t, h)
		if before, after := fmt.Sprint(ids(&tried)[:10]), fmt.Sprint(ids(f)); before != after {
			t.Errorf("the ids were %s, and are %s", before, after)
		}
	})
}

func (h *Handler) lastFailure() error { return h.queue.lastFailure() }

// What the disk has no room for is dropped and counted, goes to the fallback, and the order of the others stays.
func TestAFullSpool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 20_000
		f, fallback := new(fakeBus), newRecorder()
		f.away()
		h := fake(f, oneKey(), QueueSize(1000, 0), Overflow(Spool(t.TempDir(), 1<<20)), Fallback(fallback))
		logger := slog.New(h)
		for i := range n {
			if i%10 == 0 {
				synctest.Wait() // the store has written what it can
			}
			logger.Info(strconv.Itoa(i))
			balanced(t, h.Stats())
		}
		s := h.Stats()
		if s.Spooled < 1000 || s.DroppedBy[DroppedFull] == 0 || s.Dropped != s.DroppedBy[DroppedFull] {
			t.Errorf("the counts are %+v", s)
		}
		f.back()
		mustClose(t, h)
		if s := h.Stats(); s.Delivered+s.Dropped != n || s.Spooled+s.Queued > 0 || s.Fallback+s.FallbackDropped != s.Dropped {
			t.Errorf("the counts are %+v", s)
		}
		last := -1
		for _, r := range f.records(t) {
			i, err := strconv.Atoi(r.Message)
			if err != nil || i <= last {
				t.Fatalf("%q comes after %d", r.Message, last)
			}
			last = i
		}
	})
}

// A record that the disk never has room for is dropped, counted and given to the fallback, and holds up none behind it.
func TestARecordThatIsTooLargeForTheSpool(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]bool{"while it is away": false, "at Close": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tooLargeForTheSpool(t, full) })
		})
	}
}

func tooLargeForTheSpool(t *testing.T, atClose bool) {
	const n = 200
	records := 100
	if atClose {
		records = 10 * n // the queue is never half full
	}
	f, fallback, dir := new(fakeBus), newRecorder(), t.TempDir()
	f.away()
	key := func(_ context.Context, r slog.Record) []byte {
		if r.Message == "large" {
			return make([]byte, 1<<20)
		}
		return []byte("k")
	}
	h := fake(f, Key(key), QueueSize(records, 64<<20), Overflow(Spool(dir, 1<<20)), Fallback(fallback))
	slog.New(h).Info("large")
	logNumbers(t, h, 0, n)
	if !atClose {
		until(t, "those behind it are on disk", func() bool { return h.Stats().Spooled >= n-50 })
		if s := h.Stats(); s.DroppedBy[DroppedTooLarge] != 1 || s.Dropped != 1 {
			t.Errorf("the counts are %+v", s)
		}
	}
	err := h.Close(within(t, 3*time.Second))
	<-h.store.done
	s := h.Stats()
	if s.Spooled != n || s.Dropped != 1 || s.Fallback != 1 || fallback.count("large") != 1 {
		t.Errorf("the fallback has %d; the counts are %+v", fallback.count("large"), s)
	}
	if (err != nil) != atClose || atClose && s.DroppedBy[DroppedUndelivered] != 1 {
		t.Errorf("Close returned %v; the counts are %+v", err, s)
	}
	balanced(t, s)
}

// Damage on the disk costs records, and neither the delivery of the others nor the counts.
func TestADamagedSpool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 4000
		f, dir := new(fakeBus), t.TempDir()
		f.away()
		h := fake(f, oneKey(), QueueSize(100, 0), Overflow(Spool(dir, 4<<20)))
		logNumbers(t, h, 0, n)
		mustSpool(t, h)
		spooled := h.Stats().Spooled
		files := segments(t, dir)
		if len(files) < 5 {
			t.Fatalf("there are %d files", len(files))
		}
		data, err := os.ReadFile(files[1])
		if err == nil {
			data[len(data)/2] ^= 1
			err = os.WriteFile(files[1], data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		f, fallback := new(fakeBus), newRecorder()
		h = fake(f, oneKey(), Overflow(Spool(dir, 4<<20)), Fallback(fallback))
		until(t, "what can be read is delivered", func() bool { s := h.Stats(); return s.Spooled+s.Queued == 0 })
		mustClose(t, h)
		s := h.Stats()
		lost := s.DroppedBy[DroppedDamaged]
		if s.Recovered != spooled || lost == 0 || lost > 800 || s.Lost != lost || s.FallbackDropped != lost ||
			s.Delivered != spooled-lost || f.count() != int(s.Delivered) {
			t.Errorf("%d are delivered; the counts are %+v", f.count(), s)
		}
		if fallback.count(dropMessage) == 0 {
			t.Error("nobody is told")
		}
		if len(f.notices) != 1 || !bytes.Contains(f.notices[0].Value, fmt.Appendf(nil, `"damaged":%d`, lost)) {
			t.Errorf("the stream says nothing of it: %d notices", len(f.notices))
		}
	})
}

// Records of levels without the policy are not spooled, and overtake those that are.
func TestLevelsThatAreSpooled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeBus)
		f.away()
		h := fake(f, oneKey(), QueueSize(100, 0), Overflow(DropOldest),
			OverflowFrom(slog.LevelError, Spool(t.TempDir(), 1<<20)))
		logger := slog.New(h)
		for i := range 1000 {
			if i%10 == 0 {
				until(t, "the disk keeps up", func() bool { return !h.queue.hasSpoolable() || h.queue.used.records() < 50 })
			}
			logger.Error(strconv.Itoa(i))
			logger.Info("info")
		}
		s := h.Stats()
		if s.Spooled < 900 || s.Spooled > 1000 || s.DroppedBy[DroppedFull] < 900 {
			t.Errorf("the counts are %+v", s)
		}
		f.back()
		mustClose(t, h)
		errorsSeen := 0
		for _, r := range f.records(t) {
			if r.Level != slog.LevelError {
				continue
			}
			if r.Message != strconv.Itoa(errorsSeen) {
				t.Fatalf("%q comes after %d", r.Message, errorsSeen-1)
			}
			errorsSeen++
		}
		if errorsSeen != 1000 {
			t.Errorf("%d of 1000 errors were delivered; the counts are %+v", errorsSeen, h.Stats())
		}
	})
}

func (q *queue) hasSpoolable() bool {
	for i := range q.spoolable() {
		if q.shards[i].isWaiting() {
			return true
		}
	}
	return false
}

// Outcomes of records from the disk are as those of others.
func TestOutcomesOfSpooledRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), new(fakeBus)
		f.away()
		h := fake(f, oneKey(), Overflow(Spool(dir, 1<<20)))
		logNumbers(t, h, 0, 100)
		slog.New(h).Info("large", "text", strings.Repeat("x", 5000))
		mustSpool(t, h)
		failed, fallback := false, newRecorder()
		f = &fakeBus{answer: func(o bus.Outgoing) error {
			switch {
			case len(o.Value) > 3000:
				return bus.ErrTooLarge
			case bytes.Contains(o.Value, []byte(`"message":"7"`)):
				return errors.New("refused for good")
			case bytes.Contains(o.Value, []byte(`"message":"9"`)) && !failed:
				failed = true
				return context.DeadlineExceeded
			}
			return nil
		}}
		h = fake(f, oneKey(), Overflow(Spool(dir, 1<<20)), Fallback(fallback))
		mustFlush(t, h)
		s := h.Stats()
		if s.Recovered != 101 || s.Delivered != 100 || s.DroppedBy[DroppedRejected] != 1 || s.Truncated != 1 ||
			s.Retries == 0 {
			t.Errorf("the counts are %+v", s)
		}
		mustClose(t, h)
		if fallback.count("7") != 1 {
			t.Error("the fallback has not got what was refused")
		}
		if left := segments(t, dir); len(left) > 0 {
			t.Errorf("%d files are left", len(left))
		}
	})
}

// A call that waits for its record's acknowledgement ends when the record is on disk.
func TestFlushOnWithASpool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeBus)
		f.away()
		h := fake(f, oneKey(), QueueSize(4, 0), Overflow(Spool(t.TempDir(), 1<<20)), FlushOn(slog.LevelError, time.Hour))
		for range 3 {
			slog.New(h).Info("m")
		}
		until(t, "they are on disk", func() bool { return h.Stats().Spooled > 0 })
		err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelError, "m", 0))
		if !errors.Is(err, errSpooled) {
			t.Errorf("Handle returned %v", err)
		}
		f.back()
		mustClose(t, h)
	})
}

// A handler that cannot have its spool says so, and drops what finds no room.
func TestASpoolThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	owner := fake(new(fakeBus), Overflow(Spool(filepath.Join(dir, "owned"), 1<<20)))
	t.Cleanup(func() { mustClose(t, owner) })
	for name, tt := range map[string]struct {
		options []Option
		want    string
	}{
		"another has it": {[]Option{Overflow(Spool(filepath.Join(dir, "owned"), 1<<20))}, filelock.ErrLocked.Error()},
		"a file":         {[]Option{Overflow(Spool(filepath.Join(dir, "file"), 1<<20))}, "file"},
		"no directory":   {[]Option{Overflow(Spool("", 1<<20))}, "needs a directory"},
		"too small":      {[]Option{Overflow(Spool(dir, 1000))}, "1048576 bytes"},
		"two directories": {[]Option{
			Overflow(Spool(filepath.Join(dir, "a"), 1<<20)), OverflowFrom(slog.LevelError, Spool(dir, 1<<20)),
		}, "a handler has one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := new(fakeBus)
				f.away()
				h := fake(f, append(tt.options, QueueSize(10, 0))...)
				if err := h.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Err is %v, want one that says %q", err, tt.want)
				}
				for range 100 {
					slog.New(h).Info("m")
				}
				if s := h.Stats(); h.store == nil && (s.DroppedBy[DroppedFull] != 90 || s.Spooled > 0) {
					t.Errorf("the counts are %+v", s)
				}
				f.back()
				mustClose(t, h)
			})
		})
	}
}

// A directory that fails while it is used costs what the memory has no room for, and is told.
func TestASpoolThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, dir, fallback := new(fakeBus), filepath.Join(t.TempDir(), "spool"), newRecorder()
		f.away()
		h := fake(f, oneKey(), QueueSize(100, 0), Overflow(Spool(dir, 1<<20)), Fallback(fallback))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			slog.New(h).Info("m")
		}
		until(t, "somebody is told", func() bool {
			return fallback.count("slogkafka: log records cannot be written to the spool; when the queue is full they are "+
				"dropped") > 0
		})
		if s := h.Stats(); s.Spooled > 0 || s.Queued != 75 || s.DroppedBy[DroppedFull] != 925 {
			t.Errorf("the counts are %+v", s)
		}
		f.back()
		mustFlush(t, h)
		if s := h.Stats(); s.Delivered != 75 {
			t.Errorf("the counts are %+v", s)
		}
		mustClose(t, h)
	})
}

// FuzzSpooledRecord decodes any bytes; what it takes is the same when it is written again.
func FuzzSpooledRecord(f *testing.F) {
	shard := &shard{queue: &queue{}}
	for _, e := range []entry{
		{text: []byte("{}"), stream: "logs"},
		{text: []byte("{}"), key: []byte{}, stream: "other", time: time.UnixMilli(-1), truncated: true},
		{text: []byte("value"), key: []byte("key"), stream: "logs", span: new(trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		}))},
	} {
		f.Add(newQueued(&e).appendSpooled(nil, time.Unix(3, 0), new(logrecord.Clock), "logs"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := fromSpool(shard, data, "logs")
		if err != nil {
			return
		}
		again, err := fromSpool(shard, r.appendSpooled(nil, time.Time{}, new(logrecord.Clock), "logs"), "logs")
		if err != nil {
			t.Fatal(err)
		}
		if again.stream != r.stream || !bytes.Equal(again.key(), r.key()) || !bytes.Equal(again.text(), r.text()) ||
			again.id != r.id || !again.time.Equal(r.time) || !bytes.Equal(again.memory, r.memory) ||
			again.keyLen != r.keyLen || again.vendors != r.vendors || again.tried != r.tried || again.truncated != r.truncated {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

// A record from the disk that has no time does not take that of the record whose memory it has.
func TestARecordFromTheDiskWithoutATime(t *testing.T) {
	t.Parallel()
	shard := &newQueue(collect(nil)).shards[0]
	earlier := newQueued(&entry{time: time.Unix(3, 0)})
	earlier.memory = make([]byte, 0, smallestMemory)
	earlier.clear()
	shard.exchange(earlier, classes, 0)
	data := newQueued(&entry{text: []byte("{}")}).appendSpooled(nil, time.Unix(3, 0), new(logrecord.Clock), "logs")
	r, err := fromSpool(shard, data, "logs")
	if err != nil {
		t.Fatal(err)
	}
	if r != earlier || !r.time.IsZero() {
		t.Errorf("the record has the time %v, in memory that served before: %v", r.time, r == earlier)
	}
}

// A record that is to be sent again may go to the disk at once, and its memory serves another, while the outcomes of
// the same batch are still counted: the other is not taken for it.
func TestARecordThatIsSpooledWhileOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	h := fake(new(fakeBus), Overflow(Spool(t.TempDir(), 1<<20)))
	q, e := h.queue, entry{text: []byte("{}"), key: []byte("0"), stream: "logs", cell: &cell{}}
	push := func() *shard {
		if !q.reserve(&e, e.charge()) || !q.push(&e, nil, e.charge()) { // as Handle does, but nothing runs
			t.Fatal("the record found no room")
		}
		return q.shard(&e, &cell{})
	}
	from := push()
	for i := 1; q.shard(&e, &cell{}) == from; i++ {
		e.key = []byte(strconv.Itoa(i))
	}
	later := push()
	batch := q.takeBatch(nil)
	if len(batch) != 2 {
		t.Fatalf("%d records wait", len(batch))
	}
	r, last, disk := batch[0], batch[1], q.disk()
	r.err, last.err = context.DeadlineExceeded, context.DeadlineExceeded
	later.mu.Lock() // apply stops here, behind the first record
	applied := make(chan struct{})
	go func() { defer close(applied); h.worker.apply(batch) }()
	testkit.Until(t, "the record waits again", func() bool { return from.oldest() > 0 })
	take := func(s *shard, r *queued) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.finish(r)
		s.counts.delivered++ // or spooled
		q.release(1, r.charge)
	}
	take(from, r)
	disk.mu.Lock()
	disk.append(r) // its memory has a record from the disk now
	r.state, disk.next = sending, nil
	disk.mu.Unlock()
	later.mu.Unlock()
	<-applied
	disk.mu.Lock()
	if r.state != sending {
		t.Errorf("the outcome of one record was counted for another")
	}
	disk.finish(r)
	disk.mu.Unlock()
	take(later, last)
	mustClose(t, h)
}

// A handler of an App that is closed leaves the spool to the next one.
func TestASpoolAndAClosedApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, f := t.TempDir(), new(fakeBus)
		f.away()
		h := fake(f, Overflow(Spool(dir, 1<<20)))
		logNumbers(t, h, 0, 10)
		mustSpool(t, h)
		h = fake(&fakeBus{closed: true}, Overflow(Spool(dir, 1<<20)))
		if err := h.Err(); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("Err is %v", err)
		}
		<-h.store.done
		h = fake(new(fakeBus), Overflow(Spool(dir, 1<<20)))
		mustClose(t, h)
		if s := h.Stats(); s.Recovered != 10 || s.Delivered != 10 {
			t.Errorf("the counts are %+v", s)
		}
	})
}
