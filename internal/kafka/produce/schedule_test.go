package produce_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// TestRandomSchedules drives a producer through random faults and compares what was promised with what is in the topic:
// a record that was acknowledged is there once, one that was said not to be sent is not there, none is there twice, a
// key's records are in order, and what was produced is what was sent plus what failed.
func TestRandomSchedules(t *testing.T) {
	t.Parallel()
	faults := []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.UnknownTopicOrPartition,
		kerr.TopicAuthorizationFailed, kerr.CoordinatorLoadInProgress}
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, kfake.NumBrokers(2))
		b.topic("a", 3)
		p := b.producer(produce.Options{MaxRecords: rapid.IntRange(20, 400).Draw(rt, "room")}, func(s *kafka.Settings) {
			s.RetryBackoff = time.Millisecond
			s.MaxBatchSize = rapid.IntRange(100, 5000).Draw(rt, "batch")
			s.Linger = time.Duration(rapid.IntRange(0, 3).Draw(rt, "linger")) * time.Millisecond
		})
		const keys = 4
		n := rapid.IntRange(10, 150).Draw(rt, "records")
		var (
			promises [keys][]produce.Promise
			wg       sync.WaitGroup
		)
		limit := make([]time.Duration, n)
		for i := range limit {
			limit[i] = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 10, 40}).Draw(rt, "patience")) * time.Millisecond
		}
		for k := range promises {
			promises[k] = make([]produce.Promise, n)
			wg.Go(func() {
				for i := range n {
					ctx := t.Context()
					if limit[i] > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, limit[i])
						defer cancel()
					}
					p.Produce(ctx, record("a", fmt.Sprint("key", k), value(i)), i%7 == 0, &promises[k][i])
				}
			})
		}
		for range rapid.IntRange(0, 6).Draw(rt, "faults") {
			switch rapid.IntRange(0, 4).Draw(rt, "fault") {
			case 0:
				b.net.cut()
			case 1:
				b.fake.ShufflePartitionLeaders()
			case 2:
				b.net.hang()
				_ = p.Flush(within(t, 20*time.Millisecond))
				b.net.heal()
			default:
				b.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: rapid.SampledFrom(faults).Draw(rt, "code")})
			}
			_ = p.Flush(within(t, time.Millisecond))
		}
		wg.Wait()
		if err := p.Flush(within(t, 30*time.Second)); err != nil {
			rt.Fatal(err)
		}
		// A batch whose callers have all gone may still be on its way.
		testkit.Until(t, "nothing is held any more", func() bool { return p.Stats().Records == 0 })
		s := p.Stats()
		if s.Bytes != 0 || s.Sent+s.Failed != keys*uint64(n) {
			rt.Fatalf("%d records: %+v", keys*n, s)
		}
		if s.Resets > 0 {
			return // a denied batch whose earlier attempt got no answer: then a record may be there twice, and it says so
		}
		seen := map[string]map[string]int{}
		last := map[string]string{}
		for _, records := range b.read("a") {
			for _, r := range records {
				key, val := string(r.Key), string(r.Value)
				if seen[key] == nil {
					seen[key] = map[string]int{}
				}
				seen[key][val]++
				if val <= last[key] {
					rt.Fatalf("%s: %s after %s", key, val, last[key])
				}
				last[key] = val
			}
		}
		for k := range promises {
			for i := range promises[k] {
				err, there := wait(t, &promises[k][i]), seen[fmt.Sprint("key", k)][value(i)]
				switch {
				case err == nil && there != 1:
					rt.Fatalf("key%d %s was acknowledged and is there %d times", k, value(i), there)
				case there > 0 && err != nil && !maybe(err):
					rt.Fatalf("key%d %s is there and was said not to be: %v", k, value(i), err)
				}
			}
		}
	})
}
