package fetch_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// TestBatchInPieces reads a batch that unpacks to 20 MB from its middle, and pauses its partition after every chunk:
// no chunk has much of it, and all records come once, in order.
func TestBatchInPieces(t *testing.T) {
	t.Parallel()
	const records, from = 20_000, 7
	values := make([]string, records)
	for i := range values {
		values[i] = fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))
	}
	for c := wire.None; c <= wire.Zstd; c++ {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, embedded())
			raw := batch(t, 0, c, values...)
			b.answerFetch(records, func(offset int64) []byte {
				if offset < records {
					return raw
				}
				return nil
			})
			f := b.fetcher(fetch.Options{})
			f.Add(b.part(0), from)
			var got []string
			for next := int64(from); next < records; {
				s := b.read(f, func(s *seen) bool { return s.next[0] > 0 })
				f.Pause(b.part(0))
				if n := len(s.values[0]); n > 8192 || int(s.next[0]) != from+len(got)+n || s.errs != nil {
					t.Fatalf("%d records, next %d, behind %d; %v", n, s.next[0], from+len(got), s.errs)
				}
				got = append(got, s.values[0]...)
				next = s.next[0]
				f.Resume(b.part(0))
			}
			if !slices.Equal(got, values[from:]) {
				t.Errorf("%d records came, or in another order; want %d", len(got), records-from)
			}
		})
	}
}

// TestTooLargeRecord passes over a record that takes too much memory, by an error with its place, and over no other
// of its batch.
func TestTooLargeRecord(t *testing.T) {
	t.Parallel()
	for c := wire.None; c <= wire.Zstd; c++ {
		for _, from := range []int64{2, 4} { // the record lies before the second
			t.Run(fmt.Sprintf("%s from %d", c, from), func(t *testing.T) {
				t.Parallel()
				b := setup(t, 1, embedded())
				var packed wire.Builder
				packed.Append(1, nil, []byte("c"), nil)
				packed.Append(1, nil, []byte("large"), make([]wire.Header, 30_000)) // 1.2 MB of memory
				packed.Append(1, nil, []byte("e"), nil)
				sealed, err := packed.Seal(wire.NoProducer(), c)
				if err != nil {
					t.Fatal(err)
				}
				binary.BigEndian.PutUint64(sealed, 2)
				log := slices.Concat(sealed, batch(t, 5, wire.None, "f"))
				b.answerFetch(6, func(offset int64) []byte {
					if offset < 5 {
						return log
					}
					return nil
				})
				f := b.fetcher(fetch.Options{MaxRecord: 1 << 20})
				f.Add(b.part(0), from)
				got := b.read(f, nextIs(6))
				want := []string{"c", "e", "f"}[from/4:]
				if diff := cmp.Diff(want, got.values[0]); diff != "" {
					t.Error(diff)
				}
				if from == 4 {
					if got.errs != nil {
						t.Errorf("got %v", got.errs)
					}
					return
				}
				if len(got.errs) != 1 || f.Stats().Corrupt != 1 {
					t.Fatalf("counted %d, got %v", f.Stats().Corrupt, got.errs)
				}
				bad, _ := errors.AsType[*fetch.PartitionError](got.errs[0])
				large, _ := errors.AsType[*wire.TooLargeError](got.errs[0])
				if bad == nil || large == nil || bad.Offset != 3 || bad.Next != 4 || bad.Topic != b.topic || large.Offset != 3 {
					t.Errorf("got %v", got.errs)
				}
			})
		}
	}
}
