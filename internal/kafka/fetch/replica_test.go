package fetch_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// rack has the fake broker that leads partition 0 name another one to those who say that they are near it. Its
// answers stand in for those of a replica.
type rack struct {
	mu       sync.Mutex
	replica  int32
	from     map[int32]int // records' requests by broker
	refusals int           // that the replica still has to give, of each kind
	code     int16         // what it refuses with; 0 = the connection is closed
}

func (b *bench) rack(leader int32) *rack {
	r := &rack{replica: (leader + 1) % 2, from: make(map[int32]int)}
	fake := b.cluster.Fake()
	fake.SetFollowers(b.topic, 0, []int32{r.replica})
	fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		r.mu.Lock()
		defer r.mu.Unlock()
		q := req.(*kmsg.FetchRequest)
		node := fake.CurrentNode()
		answer := func(set func(*kmsg.FetchResponseTopicPartition)) kmsg.Response {
			res := q.ResponseKind().(*kmsg.FetchResponse)
			t, p := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
			t.Topic = b.topic
			set(&p)
			t.Partitions = append(t.Partitions, p)
			res.Topics = append(res.Topics, t)
			return res
		}
		switch {
		case node == leader && q.Rack == "near":
			return answer(func(p *kmsg.FetchResponseTopicPartition) { p.PreferredReadReplica = r.replica }), nil, true
		case node == r.replica && r.refusals > 0:
			r.refusals--
			if r.code == 0 {
				return nil, fmt.Errorf("closed"), true
			}
			return answer(func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = r.code }), nil, true
		}
		r.from[node]++
		return nil, nil, false
	})
	return r
}

func (r *rack) requests(node int32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from[node]
}

// TestTheNearestReplicaIsRead follows the leader's word to another replica, and goes back to the leader when that
// replica fails.
func TestTheNearestReplicaIsRead(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int16{
		"works": -2, "offset not available": kerr.OffsetNotAvailable.Code, "fenced": kerr.FencedLeaderEpoch.Code,
		"out of range":    kerr.OffsetOutOfRange.Code,
		"connection lost": 0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, kafkatest.Nodes(2), embedded())
			s := b.client.Settings()
			s.ClientRack = "near"
			b.client = newClientOf(t, b.cluster, s)
			cluster, err := b.client.AllTopics(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			leader := cluster.Topics[b.topic].Leaders[0]
			r := b.rack(leader)
			if code != -2 {
				r.code, r.refusals = code, 1
			}
			b.produce(b.producer, &kgo.Record{Value: []byte("a")}, &kgo.Record{Value: []byte("b")})
			f := b.fetcher(fetch.Options{OutOfRange: kafka.NoReset})
			f.Add(b.part(0), 0)
			got := b.read(f, nextIs(2))
			if got.errs != nil || fmt.Sprint(got.values[0]) != "[a b]" {
				t.Errorf("got %v, %v", got.values, got.errs)
			}
			atLeader, atReplica := r.requests(leader), r.requests(r.replica)
			if worked := code == -2; worked != (atReplica > 0) || worked != (atLeader == 0) {
				t.Errorf("%d requests were answered by the leader and %d by the replica", atLeader, atReplica)
			}
		})
	}
}

// TestTheReplicaInOurRackIsRead has three real brokers in racks of their own. The one in ours is read, though another
// one leads; when it is killed the leader is.
func TestTheReplicaInOurRackIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, kafkatest.Nodes(3), kafkatest.Own(), kafkatest.Property("replica.selector.class",
		"org.apache.kafka.common.replica.RackAwareReplicaSelector"))
	cluster, err := b.client.AllTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leader := cluster.Topics[b.topic].Leaders[0]
	replica := leader%3 + 1
	s := b.client.Settings()
	s.ClientRack = fmt.Sprint(replica)
	b.client = newClientOf(t, b.cluster, s)
	f := b.fetcher(fetch.Options{})
	f.Add(b.part(0), 0)
	b.produce(b.producer, &kgo.Record{Value: []byte("a")})
	b.read(f, nextIs(1))
	b.waitFor(func() bool { return fetch.BrokerOf(f, b.part(0)) == replica })
	b.produce(b.producer, &kgo.Record{Value: []byte("b")})
	b.read(f, nextIs(2))
	if at := fetch.BrokerOf(f, b.part(0)); at != replica {
		t.Errorf("read at %d, want %d", at, replica)
	}
	b.cluster.Kill(int(replica) - 1)
	b.produce(b.producer, &kgo.Record{Value: []byte("c")})
	if got := b.read(f, nextIs(3)); got.errs != nil {
		t.Error(got.errs)
	}
	if at := fetch.BrokerOf(f, b.part(0)); at == replica {
		t.Errorf("read at %d, which is dead", at)
	}
}
