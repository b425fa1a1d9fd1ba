package wire_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

func connect(t *testing.T, servers []string) *kafka.Client {
	t.Helper()
	client, err := kafka.NewClient(servers, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// ask sends a request of a group until the coordinator answers it with another code than those of one
// that has just started.
func ask[A protocol.Message](ctx context.Context, t *testing.T, c *kafka.Client, msg func() protocol.Message,
	code func(A) int16) A {
	t.Helper()
	for {
		response, err := c.RoundTrip(ctx, msg(), 15*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		a, ok := response.(A)
		if !ok {
			t.Fatalf("%s: answered %T", msg().ApiKey(), response)
		}
		switch code(a) {
		case 14, 15, 16:
			select {
			case <-ctx.Done():
				t.Fatalf("%s: still %d", msg().ApiKey(), code(a))
			case <-time.After(100 * time.Millisecond):
			}
		default:
			return a
		}
	}
}

// One member's life, by the messages of this package alone. There are more brokers than the group's
// coordinator, and groups enough that it is not the one that is asked by chance.
func TestBrokerLifeOfAMember(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Nodes(3))
	client := connect(t, cluster.Servers())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	prefix := cluster.Prefix(t)
	if err := client.EnsureTopic(ctx, prefix+"topic", kafka.TopicSpec{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	for _, instance := range []string{"", "static"} {
		for i := range 3 {
			t.Run(fmt.Sprintf("%q %d", instance, i), func(t *testing.T) {
				me := wire.Member{GroupID: fmt.Sprintf("%s%s%d", prefix, instance, i), InstanceID: instance, ClientID: "me"}
				live(ctx, t, client, me, prefix+"topic")
			})
		}
	}
}

// subscription is one to topic a, in the consumer protocol, version 0. A coordinator of Kafka 4 reads it,
// and leaves a join without an answer when it cannot.
const subscription = "\x00\x00\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x00"

func live(ctx context.Context, t *testing.T, client *kafka.Client, me wire.Member, topic string) {
	join := func() protocol.Message {
		return &wire.JoinGroup{Member: me, Session: 10 * time.Second, Rebalance: 10 * time.Second,
			Protocols: []wire.JoinProtocol{{Name: "ours", Metadata: []byte(subscription)},
				{Name: "range", Metadata: []byte(subscription)}}}
	}
	joinCode := func(a *wire.JoinAnswer) int16 { return a.Code }
	joined := ask(ctx, t, client, join, joinCode)
	if me.InstanceID == "" {
		if joined.Code != 79 || joined.MemberID == "" {
			t.Fatalf("the first join: %+v", joined)
		}
		me.MemberID = joined.MemberID
		joined = ask(ctx, t, client, join, joinCode)
	}
	me.MemberID = joined.MemberID
	want := &wire.JoinAnswer{Generation: 1, Protocol: "ours", Leader: me.MemberID, MemberID: me.MemberID,
		Members: []wire.JoinedMember{{MemberID: me.MemberID, InstanceID: me.InstanceID, Metadata: []byte(subscription)}}}
	if diff := cmp.Diff(want, joined); diff != "" {
		t.Fatalf("join (-want +got):\n%s", diff)
	}
	generation := joined.Generation

	synced := ask(ctx, t, client, func() protocol.Message {
		return &wire.SyncGroup{Member: me, Generation: generation, Protocol: "ours",
			Assignments: map[string][]byte{me.MemberID: []byte("assignment")}}
	}, func(a *wire.SyncAnswer) int16 { return a.Code })
	if synced.Code != 0 || string(synced.Assignment) != "assignment" {
		t.Fatalf("sync: %+v", synced)
	}

	beat := func(member wire.Member, generation int32) int16 {
		t.Helper()
		return ask(ctx, t, client, func() protocol.Message { return &wire.Heartbeat{Member: member, Generation: generation} },
			func(a *wire.HeartbeatAnswer) int16 { return a.Code }).Code
	}
	stranger := me
	stranger.MemberID, stranger.InstanceID = "stranger", ""
	for what, codes := range map[string][2]int16{
		"of the generation":         {beat(me, generation), 0},
		"of a generation long gone": {beat(me, generation-1), 22},
		"of a stranger":             {beat(stranger, generation), 25},
	} {
		if codes[0] != codes[1] {
			t.Errorf("a heartbeat %s: %d, want %d", what, codes[0], codes[1])
		}
	}

	commit := func(generation int32) []wire.CommittedPartition {
		t.Helper()
		return ask(ctx, t, client, func() protocol.Message {
			return &wire.CommitOffsets{Member: me, Generation: generation,
				Offsets: []wire.PartitionOffset{{Topic: topic, Partition: 1, Offset: 12}}}
		}, func(a *wire.CommitAnswer) int16 { return a.Partitions[0].Code }).Partitions
	}
	for generation, code := range map[int32]int16{generation: 0, generation - 1: 22} {
		if diff := cmp.Diff([]wire.CommittedPartition{{Topic: topic, Partition: 1, Code: code}},
			commit(generation)); diff != "" {
			t.Errorf("commit in generation %d: %s", generation, diff)
		}
	}
	committed := ask(ctx, t, client, func() protocol.Message {
		return &wire.FetchOffsets{Member: me, Partitions: map[string][]int32{topic: {0, 1}}}
	}, func(a *wire.OffsetsAnswer) int16 { return a.Code })
	offsets := make(map[int32]int64)
	for _, p := range committed.Partitions {
		if p.Topic != topic || p.Code != 0 {
			t.Errorf("offset: %+v", p)
		}
		offsets[p.Partition] = p.Offset
	}
	if diff := cmp.Diff(map[int32]int64{0: -1, 1: 12}, offsets); diff != "" || committed.Code != 0 {
		t.Errorf("offsets: code %d, %s", committed.Code, diff)
	}

	leave := func(member wire.Member) int16 {
		t.Helper()
		return ask(ctx, t, client, func() protocol.Message { return &wire.LeaveGroup{Member: member} },
			func(a *wire.LeaveAnswer) int16 { return a.Code }).Code
	}
	if code := leave(stranger); code != 25 {
		t.Errorf("a stranger leaves: %d", code)
	}
	if code := leave(me); code != 0 {
		t.Errorf("leave: %d", code)
	}
}

// A heartbeat's answer says what the broker said. kafka-go's own takes it for a throttle time.
func TestHeartbeatCodeIsTheBrokers(t *testing.T) {
	t.Parallel()
	for version := int16(3); version <= 4; version++ {
		cluster := kafkatest.Start(t, kafkatest.Kfake(kfake.NumBrokers(1)))
		var (
			mu   sync.Mutex
			code int16
			got  *kmsg.HeartbeatRequest
		)
		cluster.Fake().ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.Fake().KeepControl()
			mu.Lock()
			defer mu.Unlock()
			got = r.(*kmsg.HeartbeatRequest)
			answer := r.ResponseKind().(*kmsg.HeartbeatResponse)
			answer.ErrorCode, answer.ThrottleMillis = code, 3
			return answer, nil, true
		})
		cluster.Fake().ControlKey(int16(kmsg.ApiVersions), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.Fake().KeepControl()
			answer := r.ResponseKind().(*kmsg.ApiVersionsResponse)
			for key := range int16(kmsg.MaxKey) {
				if request := kmsg.RequestForKey(key); request != nil {
					newest := request.MaxVersion()
					if key == int16(kmsg.Heartbeat) {
						newest = version
					}
					answer.ApiKeys = append(answer.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: newest})
				}
			}
			return answer, nil, true
		})
		client := connect(t, cluster.Servers())
		for _, want := range []int16{0, 22, 25, 27, 82} {
			mu.Lock()
			code = want
			mu.Unlock()
			response, err := client.RoundTrip(t.Context(), &wire.Heartbeat{
				Member: wire.Member{GroupID: "g", MemberID: "m", InstanceID: "i"}, Generation: 7}, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if code := response.(*wire.HeartbeatAnswer).Code; code != want {
				t.Errorf("version %d: got %d, the broker said %d", version, code, want)
			}
			mu.Lock()
			if got.Version != version || got.Group != "g" || got.MemberID != "m" || *got.InstanceID != "i" ||
				got.Generation != 7 {
				t.Errorf("version %d: the broker read %+v", version, got)
			}
			mu.Unlock()
		}
	}
}
