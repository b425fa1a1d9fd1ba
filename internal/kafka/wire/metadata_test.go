package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataAnswer is a response of version 8 as franz-go writes it, an independent writer.
func metadataAnswer() []byte {
	r := kmsg.NewMetadataResponse()
	r.Version, r.ThrottleMillis, r.ClusterID, r.ControllerID = 8, 7, kmsg.StringPtr("cluster"), 2
	for id := range int32(2) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = id+1, "host", 9092+id
		if id == 1 {
			b.Rack = kmsg.StringPtr("rack")
		}
		r.Brokers = append(r.Brokers, b)
	}
	for _, name := range []string{"a", "__b"} {
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.IsInternal = kmsg.StringPtr(name), name == "__b"
		for n := range int32(2) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.OfflineReplicas = 1-n, n+1, 5, []int32{1, 2},
				[]int32{1}, []int32{2}
			topic.Partitions = append(topic.Partitions, p)
		}
		r.Topics = append(r.Topics, topic)
	}
	missing := kmsg.NewMetadataResponseTopic()
	missing.Topic, missing.ErrorCode = kmsg.StringPtr("c"), 3
	r.Topics = append(r.Topics, missing)
	return r.AppendTo(nil)
}

// connection is one exchange: what is written, and what is read.
type connection struct {
	bytes.Buffer
	answer *bytes.Reader
}

func (c *connection) Read(b []byte) (int, error) { return c.answer.Read(b) }

func exchangeMetadata(r *MetadataRequest, answer []byte) (*Metadata, *connection, error) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(answer)+4))
	frame = append(binary.BigEndian.AppendUint32(frame, correlationID), answer...)
	c := &connection{answer: bytes.NewReader(frame)}
	r.Required(map[protocol.ApiKey]int16{protocol.Metadata: metadataVersion})
	got, err := r.RawExchange(c)
	if err != nil {
		return nil, c, err
	}
	return got.(*Metadata), c, nil
}

func TestMetadataExchange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		request MetadataRequest
		want    []string // nil: all
	}{
		{"all", MetadataRequest{All: true}, nil},
		{"by name", MetadataRequest{Topics: []string{"a", "c"}}, []string{"a", "c"}},
		{"the brokers alone", MetadataRequest{}, []string{}},
	} {
		test.request.ClientID = "me"
		got, c, err := exchangeMetadata(&test.request, metadataAnswer())
		if err != nil {
			t.Fatal(err)
		}
		header := kbin.Reader{Src: c.Bytes()}
		header.Int32() // size
		if key, version := header.Int16(), header.Int16(); key != 3 || version != metadataVersion {
			t.Fatalf("%s: api %d version %d", test.name, key, version)
		}
		header.Int32() // correlation id
		if id := header.String(); id != "me" {
			t.Errorf("%s: client id %q", test.name, id)
		}
		sent := kmsg.NewPtrMetadataRequest()
		sent.Version = metadataVersion
		if err := sent.ReadFrom(header.Src); err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, topic := range sent.Topics {
			names = append(names, *topic.Topic)
		}
		if sent.Topics == nil {
			names = nil
		}
		if diff := cmp.Diff(test.want, names); diff != "" || sent.AllowAutoTopicCreation {
			t.Errorf("%s: topics asked for (-want +got):\n%s; to be created: %v", test.name, diff, sent.AllowAutoTopicCreation)
		}
		if diff := cmp.Diff([]MetadataBroker{{1, "host", 9092}, {2, "host", 9093}}, got.Brokers); diff != "" {
			t.Errorf("brokers (-want +got):\n%s", diff)
		}
		topics, err := got.Topics()
		leaders := []PartitionLeader{{Partition: 1, Leader: 1}, {Partition: 0, Leader: 2}}
		want := []MetadataTopic{{Name: "a", Replicas: 2, Leaders: leaders},
			{Name: "__b", Internal: true, Replicas: 2, Leaders: leaders},
			{Code: 3, Name: "c", Leaders: []PartitionLeader{}}}
		if diff := cmp.Diff(want, topics); diff != "" || err != nil {
			t.Errorf("topics (-want +got):\n%s, %v", diff, err)
		}
	}
}

// An answer that ends anywhere is an error, and nothing is allocated for what it only says is there.
func TestMetadataThatEndsEarly(t *testing.T) {
	t.Parallel()
	whole := metadataAnswer()
	for n := range whole {
		m, _, err := exchangeMetadata(&MetadataRequest{All: true}, whole[:n])
		if err == nil {
			_, err = m.Topics()
		}
		if err == nil {
			t.Fatalf("%d of %d bytes were read as a whole answer", n, len(whole))
		}
	}
	huge := bytes.Repeat([]byte{0x7f}, 100)
	if _, _, err := exchangeMetadata(&MetadataRequest{All: true}, huge); err == nil {
		t.Error("a count of two billion brokers was believed")
	}
	old := &MetadataRequest{}
	old.Required(map[protocol.ApiKey]int16{protocol.Metadata: 7})
	if _, err := old.RawExchange(new(connection)); err == nil {
		t.Error("a version was sent that cannot be read")
	}
}
