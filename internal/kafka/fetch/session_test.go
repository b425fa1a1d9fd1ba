package fetch_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// addAll begins to read all partitions of the bench's topic at their first offset.
func (b *bench) addAll(f *fetch.Fetcher, partitions int) {
	starts := make(map[kafka.TopicPartition]int64)
	for id := range int32(partitions) {
		starts[b.part(id)] = 0
	}
	f.AddAll(starts)
}

// TestASessionNamesWhatHasChanged counts the partitions that requests name: all of them in the first, then none while
// nothing happens, and then those that have had a record or have been paused.
func TestASessionNamesWhatHasChanged(t *testing.T) {
	t.Parallel()
	const partitions = 50
	b := setup(t, partitions, embedded())
	var mu sync.Mutex
	var named, forgotten []int32
	requests, first := 0, 0
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		req := r.(*kmsg.FetchRequest)
		if requests++; requests == 1 {
			first = len(req.Topics[0].Partitions)
			return nil, nil, false
		}
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				named = append(named, p.Partition)
			}
		}
		for _, t := range req.ForgottenTopics {
			forgotten = append(forgotten, t.Partitions...)
		}
		return nil, nil, false
	})
	check := func(what string, wantNamed, wantForgotten []int32) {
		t.Helper()
		mu.Lock()
		known := requests
		mu.Unlock()
		b.waitFor(func() bool { mu.Lock(); defer mu.Unlock(); return requests >= known+3 })
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(named, wantNamed) || !slices.Equal(forgotten, wantForgotten) {
			t.Errorf("%s: %v are named and %v forgotten, want %v and %v", what, named, forgotten, wantNamed, wantForgotten)
		}
		named, forgotten = nil, nil
	}
	f := b.fetcher(fetch.Options{})
	b.addAll(f, partitions)
	check("idle", nil, nil)
	if first != partitions {
		t.Errorf("the first request names %d partitions", first)
	}
	b.produce(b.producer, &kgo.Record{Partition: 7, Value: []byte("x")})
	b.read(f, func(s *seen) bool { return len(s.values[7]) == 1 })
	check("after a record", []int32{7}, nil)
	f.Pause(b.part(3))
	check("after a pause", nil, []int32{3})
	for id := range int32(partitions) {
		if end, want := f.HighWatermark(b.part(id)), map[bool]int64{true: 1}[id == 7]; end != want {
			t.Errorf("partition %d ends at %d, want %d", id, end, want)
		}
	}
}

// TestLostSessions has the broker forget sessions, take them for others, and have no room for any, while records
// come: a new session begins at once, nothing is lost and nothing comes twice.
func TestLostSessions(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch,
		kerr.FetchSessionTopicIDError} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 3, embedded())
			fake, n := b.cluster.Fake(), 0
			fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				fake.KeepControl()
				req := r.(*kmsg.FetchRequest)
				if n++; req.SessionEpoch <= 0 || n%3 > 0 {
					return nil, nil, false
				}
				res := req.ResponseKind().(*kmsg.FetchResponse)
				res.ErrorCode = e.Code
				return res, nil, true
			})
			b.readWhileWritten(t, 3)
		})
	}
	t.Run("no room", func(t *testing.T) {
		t.Parallel()
		b := setup(t, 3, kafkatest.Kfake(kfake.DefaultNumPartitions(7),
			kfake.BrokerConfigs(map[string]string{"max.incremental.fetch.session.cache.slots": "1"})))
		other := b.fetcher(fetch.Options{}) // both take the only slot from each other
		b.addAll(other, 3)
		b.readWhileWritten(t, 3)
	})
}

// readWhileWritten reads partitions that are written to meanwhile, without a failure.
func (b *bench) readWhileWritten(t *testing.T, partitions int) {
	t.Helper()
	const each = 40
	f := b.fetcher(fetch.Options{})
	b.addAll(f, partitions)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range each {
			for id := range int32(partitions) {
				if err := b.producer.ProduceSync(t.Context(),
					&kgo.Record{Partition: id, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	got := b.read(f, func(s *seen) bool {
		for id := range int32(partitions) {
			if s.next[id] < each {
				return false
			}
		}
		return true
	})
	writer.Wait()
	for id, values := range got.values {
		for i, v := range values {
			if v != fmt.Sprint(i) {
				t.Fatalf("partition %d: record %d is %q", id, i, v)
			}
		}
	}
	if s := f.Stats(); s.Failures > 0 || got.errs != nil {
		t.Errorf("stats %+v, errors %v", s, got.errs)
	}
}
