package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill writes n records to a partition, a second apart from the time 0 on.
func fill(t *testing.T, cluster *kfake.Cluster, topic string, partition int32, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		record := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v"),
			Timestamp: time.UnixMilli(int64(1000 * (i + 1)))}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListOffsets(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(4, "a"), kfake.SeedTopics(20, "b"))
	fill(t, cluster, "a", 0, 3)
	fill(t, cluster, "a", 2, 5)
	n := requests(cluster, kmsg.ListOffsets)
	client := connect(t, quick(), cluster.ListenAddrs()...)

	for _, test := range []struct {
		name string
		at   int64
		want [4]int64
	}{
		{"first", FirstOffset, [4]int64{0, 0, 0, 0}},
		{"end", EndOffset, [4]int64{3, 0, 5, 0}},
		{"at a record", 2000, [4]int64{1, -1, 1, -1}},
		{"between two", 3500, [4]int64{-1, -1, 3, -1}},
		{"before all", 0, [4]int64{0, -1, 0, -1}},
		{"after all", 1 << 40, [4]int64{-1, -1, -1, -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := make(map[TopicPartition]int64)
			var parts []TopicPartition
			for p, offset := range test.want {
				want[TopicPartition{"a", int32(p)}] = offset
				parts = append(parts, TopicPartition{"a", int32(p)}, TopicPartition{"a", int32(p)})
			}
			got, err := client.ListOffsets(t.Context(), parts, test.at)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, difference %s", err, diff)
			}
		})
	}

	t.Run("one request per leader", func(t *testing.T) {
		var parts []TopicPartition
		leaders := make(map[int32]bool)
		for p := range int32(20) {
			parts = append(parts, TopicPartition{"b", p})
			leaders[cluster.LeaderFor("b", p)] = true
		}
		before := n.Load()
		got, err := client.ListOffsets(t.Context(), parts, EndOffset)
		if err != nil || len(got) != 20 {
			t.Fatalf("%d offsets, %v", len(got), err)
		}
		if sent := n.Load() - before; sent != int64(len(leaders)) {
			t.Errorf("%d requests for %d leaders", sent, len(leaders))
		}
	})

	t.Run("what does not exist is left out", func(t *testing.T) {
		parts := []TopicPartition{{"a", 0}, {"a", 4}, {"a", -1}, {"gone", 0}, {"__consumer_offsets", 0}}
		got, err := client.ListOffsets(t.Context(), parts, EndOffset)
		if diff := cmp.Diff(map[TopicPartition]int64{{"a", 0}: 3}, got); diff != "" || err != nil {
			t.Errorf("error %v, difference %s", err, diff)
		}
	})

	t.Run("nothing", func(t *testing.T) {
		if got, err := client.ListOffsets(t.Context(), nil, EndOffset); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// Leaders that moved since the metadata was read are found again.
func TestListOffsetsFollowsLeaders(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "t"))
	s := quick()
	s.MetadataMaxAge = time.Hour // the cache does not find out by itself
	client := connect(t, s, cluster.ListenAddrs()...)
	if _, err := client.AllTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p := range int32(6) {
		if err := cluster.MoveTopicPartition("t", p, (cluster.LeaderFor("t", p)+1)%3); err != nil {
			t.Fatal(err)
		}
	}
	parts := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}, {"t", 3}, {"t", 4}, {"t", 5}}
	if got, err := client.ListOffsets(t.Context(), parts, EndOffset); err != nil || len(got) != 6 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestListOffsetsOfCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code int16
		ok   bool // a retry mends it
	}{{5, true}, {6, true}, {74, true}, {75, true}, {78, true}, {3, true}, {-1, true}, {29, false}, {43, false}} {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.SeedTopics(2, "t"))
			var failures atomic.Int64
			cluster.ControlKey(kmsg.ListOffsets.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if failures.Add(1) > 2 {
					return nil, nil, false
				}
				response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
				for _, rt := range request.(*kmsg.ListOffsetsRequest).Topics {
					topic := kmsg.NewListOffsetsResponseTopic()
					topic.Topic = rt.Topic
					for _, rp := range rt.Partitions {
						partition := kmsg.NewListOffsetsResponseTopicPartition()
						partition.Partition, partition.ErrorCode = rp.Partition, test.code
						topic.Partitions = append(topic.Partitions, partition)
					}
					response.Topics = append(response.Topics, topic)
				}
				return response, nil, true
			})
			client := connect(t, quick(), cluster.ListenAddrs()...)
			got, err := client.ListOffsets(t.Context(), []TopicPartition{{"t", 0}, {"t", 1}}, EndOffset)
			switch {
			case test.ok && (err != nil || len(got) != 2):
				t.Errorf("%v, %v", got, err)
			case !test.ok && (!errors.Is(err, CodeError(test.code)) || failures.Load() != 1):
				t.Errorf("error %v after %d requests", err, failures.Load())
			}
		})
	}
}

// A leader that hangs, or answers without what was asked for, holds nobody longer than the context.
func TestListOffsetsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(kmsg.Request) kmsg.Response{
		"no answer":    func(kmsg.Request) kmsg.Response { return nil },
		"empty answer": func(r kmsg.Request) kmsg.Response { return r.ResponseKind() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.SeedTopics(2, "t"))
			cluster.ControlKey(kmsg.ListOffsets.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				return answer(request), nil, true
			})
			client := connect(t, quick(), cluster.ListenAddrs()...)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := client.ListOffsets(ctx, []TopicPartition{{"t", 0}}, EndOffset)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 4*time.Second { // a request takes 5 s
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		})
	}
}

// What has been found is returned beside the error that says what has not.
func TestListOffsetsReturnsWhatItFinds(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	cluster.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "t", Partitions: []int32{1},
			Err: kerr.TopicAuthorizationFailed, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "t", Partitions: []int32{2},
			Err: kerr.NotLeaderForPartition, Count: -1},
	)
	client := connect(t, quick(), cluster.ListenAddrs()...)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	parts := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}}
	got, err := client.ListOffsets(ctx, parts, EndOffset)
	if diff := cmp.Diff(map[TopicPartition]int64{{"t", 0}: 0}, got); diff != "" {
		t.Error(diff)
	}
	bad, ok := errors.AsType[*OffsetsError](err)
	if !ok || len(bad.Failed) != 2 || !errors.Is(bad.Failed[parts[1]], ErrAuth) ||
		!errors.Is(bad.Failed[parts[2]], CodeError(6)) ||
		!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 partitions failed, the first is t/1") {
		t.Errorf("got %v", err)
	}
}
