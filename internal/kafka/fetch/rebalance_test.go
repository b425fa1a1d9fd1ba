package fetch_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// observed are the partitions that each fetch request to a fake broker is for, those that its session has included.
type observed struct {
	mu       sync.Mutex
	session  map[int32]bool
	requests [][]int32
}

// observe looks at the requests from now on, and leaves them to the fake broker.
func (b *bench) observe() *observed {
	o := &observed{session: make(map[int32]bool)}
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.requests = append(o.requests, partitionsOf(r.(*kmsg.FetchRequest), o.session))
		return nil, nil, false
	})
	return o
}

// partitionsOf returns what a request is for, in order, and brings the session that it may belong to up to date.
func partitionsOf(r *kmsg.FetchRequest, session map[int32]bool) []int32 {
	if r.SessionEpoch < 0 {
		session = make(map[int32]bool)
	}
	if r.SessionEpoch == 0 {
		clear(session)
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			session[p.Partition] = true
		}
	}
	for _, t := range r.ForgottenTopics {
		for _, p := range t.Partitions {
			delete(session, p)
		}
	}
	return slices.Sorted(maps.Keys(session))
}

func (o *observed) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// from returns the requests since there were n.
func (o *observed) from(n int) [][]int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests[n:])
}

// TestManyAtOnce gives a Fetcher a thousand partitions, takes them away and gives them again, as a rebalance does:
// the first request is for all of them, because those that are not in it would wait until it is answered.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const partitions = 1000
	b := setup(t, partitions, embedded())
	o := b.observe()
	for name, offset := range map[string]int64{"at an offset": 0, "looked up": kafka.FirstOffset,
		"at the end": kafka.EndOffset} {
		t.Run(name, func(t *testing.T) {
			f := fetch.New(b.client, fetch.Options{})
			defer f.Close()
			starts := make(map[kafka.TopicPartition]int64)
			for id := range int32(partitions) {
				starts[b.part(id)] = offset
			}
			for range 3 {
				before := o.count()
				f.AddAll(starts)
				b.waitFor(func() bool { return o.count() > before })
				if first := o.from(before)[0]; len(first) != partitions {
					t.Errorf("the first request is for %d partitions of %d", len(first), partitions)
				}
				for tp := range starts {
					f.Remove(tp)
				}
				b.waitFor(func() bool { return f.Stats().Brokers == 0 })
				if n := f.Stats().Partitions; n > 0 {
					t.Errorf("%d partitions left", n)
				}
			}
		})
	}
}

// TestAddedAgainWhileAsked removes a partition and adds it again elsewhere while the broker works at a request for it:
// what that brings is not seen.
func TestAddedAgainWhileAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		add  func(*fetch.Fetcher, kafka.TopicPartition)
	}{
		{"at an offset", func(f *fetch.Fetcher, tp kafka.TopicPartition) { f.Add(tp, 100) }},
		{"looked up", func(f *fetch.Fetcher, tp kafka.TopicPartition) { f.AddAt(tp, kafka.FirstOffset) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, embedded())
			b.produce(b.producer, &kgo.Record{Value: []byte("x")})
			f := b.fetcher(fetch.Options{})
			b.answerFetch(1000, func(offset int64) []byte {
				switch offset {
				case 500: // the request before
					f.Remove(b.part(0))
					tt.add(f, b.part(0))
					return batch(t, 500, wire.None, "stale")
				case 100, 0:
					return batch(t, offset, wire.None, "new")
				}
				return nil
			})
			f.Add(b.part(0), 500)
			got := b.read(f, func(s *seen) bool { return len(s.values[0]) > 0 })
			if got.values[0][0] != "new" || got.errs != nil {
				t.Errorf("got %v, %v", got.values[0], got.errs)
			}
		})
	}
}

// TestResumeWhileAsked resumes a partition while the broker waits for records of another: the next request is for it.
func TestResumeWhileAsked(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, embedded())
	o := b.observe()
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	f.Add(b.part(1), 0)
	for range 3 {
		f.Pause(b.part(1))
		b.waitFor(func() bool {
			requests := o.from(0)
			return len(requests) > 0 && slices.Equal(requests[len(requests)-1], []int32{0})
		})
		known := o.count()
		f.Resume(b.part(1))
		b.waitFor(func() bool { return o.count() >= known+2 })
		// The first of them may have been made before, and sent after Resume.
		if requests := o.from(known); !slices.Contains(requests[1], 1) {
			t.Errorf("after Resume the requests are for %v", requests)
		}
	}
	b.produce(b.producer, &kgo.Record{Partition: 1, Value: []byte("a")})
	b.read(f, func(s *seen) bool { return s.next[1] == 1 })
}

// TestResumeWhileAllPaused resumes the only partition that its broker could be asked for: nothing is on its way, and
// the request goes out at once.
func TestResumeWhileAllPaused(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, embedded())
	o := b.observe()
	f := b.fetcher(fetch.Options{})
	for id := range int32(2) {
		f.Add(b.part(id), 0)
	}
	b.waitFor(func() bool { return o.count() > 0 })
	for id := range int32(2) {
		f.Pause(b.part(id))
	}
	b.waitFor(func() bool { return int(f.Stats().Requests) == o.count() }) // all have been answered
	before := o.count()
	began := time.Now()
	f.Resume(b.part(1))
	b.waitFor(func() bool { return o.count() > before })
	if d := time.Since(began); !slices.Equal(o.from(before)[0], []int32{1}) || d > time.Second {
		t.Errorf("after %s asked for %v", d, o.from(before)[0])
	}
}
