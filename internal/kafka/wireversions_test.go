package kafka_test

import (
	"encoding/binary"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// floors are the lowest versions that Kafka 4.1.1 takes of what we send, and those of 4.0 where they were higher.
var floors = map[protocol.ApiKey]int16{
	protocol.Produce: 3, protocol.Fetch: 4, protocol.ListOffsets: 1, protocol.Metadata: 0, protocol.ApiVersions: 0,
	protocol.CreateTopics: 2, protocol.InitProducerId: 0, protocol.DescribeConfigs: 1,
}

// TestWireVersions is about the day a broker drops old versions: what is sent, byte for byte, has the versions we
// think, and lies above the floors of Kafka 4 and of the broker at hand.
func TestWireVersions(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent := &versions{of: make(map[protocol.ApiKey]int16)}
	kafka.WrapConns(client, func(c net.Conn) net.Conn { return &observed{Conn: c, request: sent.sent} })

	// One of everything.
	ctx := t.Context()
	if err := client.CheckVersions(ctx); err != nil {
		t.Fatal(err)
	}
	topic := cluster.Prefix(t) + "topic"
	if err := client.EnsureTopic(ctx, topic, kafka.TopicSpec{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if err := client.EnsureTopic(ctx, topic+".dead", kafka.TopicSpec{Partitions: 1, Source: topic}); err != nil {
		t.Fatal(err)
	}
	p := produce.New(client, produce.Options{})
	var promise produce.Promise
	p.Produce(ctx, produce.Record{Topic: topic, Value: []byte("x")}, true, &promise)
	<-promise.Done()
	if err := promise.Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	f := fetch.New(client, fetch.Options{})
	defer f.Close()
	f.AddAt(kafka.TopicPartition{Topic: topic}, kafka.FirstOffset)
	for n := 0; n == 0; {
		chunk, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n = len(chunk.Records)
	}

	want := map[protocol.ApiKey]int16{
		protocol.Produce: 8, protocol.Fetch: 11, protocol.ListOffsets: 5, protocol.Metadata: 8, protocol.ApiVersions: 0,
		protocol.CreateTopics: 5, protocol.InitProducerId: 4, protocol.DescribeConfigs: 3,
	}
	got := sent.all()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions sent (-want +got):\n%s", diff)
	}
	response, err := client.RoundTrip(ctx, new(apiversions.Request), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	least := maps.Clone(floors)
	for _, key := range response.(*apiversions.Response).ApiKeys {
		least[protocol.ApiKey(key.ApiKey)] = max(least[protocol.ApiKey(key.ApiKey)], key.MinVersion)
	}
	for key, version := range got {
		if version < least[key] {
			t.Errorf("%s version %d is below the floor, %d", key, version, least[key])
		}
		if version == least[key] && least[key] > 0 {
			t.Errorf("%s version %d is the floor itself: the next release may drop it", key, version)
		}
	}
}

// versions notes the lowest version that was sent of each request.
type versions struct {
	mu sync.Mutex
	of map[protocol.ApiKey]int16
}

func (v *versions) sent(key protocol.ApiKey, version int16) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if before, ok := v.of[key]; !ok || version < before {
		v.of[key] = version
	}
}

func (v *versions) all() map[protocol.ApiKey]int16 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.of)
}

// observed is a connection that reads along what is written: frames of a length and a request, which begins with its
// key and version.
type observed struct {
	net.Conn
	request func(key protocol.ApiKey, version int16)
	head    []byte // of the frame that is being written, until it is known
	skip    int    // bytes of the frame that are still to come
}

func (o *observed) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if o.skip > 0 {
			n := min(o.skip, len(rest))
			o.skip, rest = o.skip-n, rest[n:]
			continue
		}
		n := min(8-len(o.head), len(rest))
		o.head, rest = append(o.head, rest[:n]...), rest[n:]
		if len(o.head) < 8 {
			break
		}
		o.request(protocol.ApiKey(binary.BigEndian.Uint16(o.head[4:])), int16(binary.BigEndian.Uint16(o.head[6:])))
		o.skip = int(binary.BigEndian.Uint32(o.head)) - 4
		o.head = o.head[:0]
	}
	return o.Conn.Write(b)
}
