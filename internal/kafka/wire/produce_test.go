package wire

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestProduceRequest reads what goes out with franz-go's message, an independent reader.
func TestProduceRequest(t *testing.T) {
	t.Parallel()
	a := build(t, None, Record{Value: []byte("a")})
	b := build(t, Gzip, Record{Value: bytes.Repeat([]byte("b"), 100)})
	large := build(t, None, Record{Value: bytes.Repeat([]byte("l"), 2*copiedBatch)}) // which is not copied
	batches := []PartitionBatch{{"one", 0, a}, {"two", 5, b}, {"one", 2, large}, {"one", 3, b}, {"three", 0, large}}
	for attempt := range 2 { // the same bytes again
		var out bytes.Buffer
		if err := NewProduceRequest(1, "me", -1, 1500*time.Millisecond, batches, new(Writing)).write(&out); err != nil {
			t.Fatal(err)
		}
		header := kbin.Reader{Src: out.Bytes()}
		if size := header.Int32(); int(size) != out.Len()-4 {
			t.Fatalf("a size of %d, and %d bytes follow", size, out.Len()-4)
		}
		if key, version := header.Int16(), header.Int16(); key != 0 || version != 8 {
			t.Fatalf("api %d version %d", key, version)
		}
		header.Int32() // correlation id
		if client := header.String(); client != "me" {
			t.Fatalf("client id %q", client)
		}
		got := kmsg.NewPtrProduceRequest()
		got.Version = 8
		if err := got.ReadFrom(header.Src); err != nil {
			t.Fatal(err)
		}
		if got.Acks != -1 || got.TimeoutMillis != 1500 || got.TransactionID != nil {
			t.Errorf("attempt %d: acks %d, timeout %d, transaction %v", attempt, got.Acks, got.TimeoutMillis, got.TransactionID)
		}
		type sent struct {
			Topic     string
			Partition int32
			Records   []byte
		}
		var parts []sent
		for _, topic := range got.Topics {
			for _, p := range topic.Partitions {
				parts = append(parts, sent{topic.Topic, p.Partition, p.Records})
			}
		}
		want := []sent{{"one", 0, a}, {"one", 2, large}, {"one", 3, b}, {"three", 0, large}, {"two", 5, b}}
		if diff := cmp.Diff(want, parts); diff != "" {
			t.Errorf("attempt %d: %s", attempt, diff)
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(parts[0].Records); err != nil || batch.NumRecords != 1 || batch.PartitionLeaderEpoch != -1 ||
			batch.ProducerID != -1 {
			t.Errorf("%+v, %v", batch, err)
		}
	}
}

// TestProduceResponse has franz-go write a response of version 8 and kafka-go read it.
func TestProduceResponse(t *testing.T) {
	t.Parallel()
	text := "no key"
	res := kmsg.NewPtrProduceResponse()
	res.Version = 8
	p := kmsg.NewProduceResponseTopicPartition()
	p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset, p.ErrorMessage = 3, 87, 17, 99, 4, &text
	p.ErrorRecords = []kmsg.ProduceResponseTopicPartitionErrorRecord{{RelativeOffset: 2, ErrorMessage: &text}}
	ok := kmsg.NewProduceResponseTopicPartition()
	ok.Partition, ok.BaseOffset, ok.LogAppendTime = 4, 18, -1
	res.Topics = []kmsg.ProduceResponseTopic{{Topic: "t", Partitions: []kmsg.ProduceResponseTopicPartition{p, ok}}}
	_, m, err := protocol.ReadResponse(bytes.NewReader(answer(1, res.AppendTo(nil))), protocol.Produce, 8)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ProduceResponse(m)
	if err != nil {
		t.Fatal(err)
	}
	want := []ProducedPartition{
		{Topic: "t", Partition: 3, Code: 87, BaseOffset: 17, LogAppendTime: 99, ErrorMessage: text,
			RecordErrors: []RecordError{{2, text}}},
		{Topic: "t", Partition: 4, BaseOffset: 18, LogAppendTime: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := ProduceResponse(nil); got != nil || err != nil {
		t.Errorf("without acks: %v, %v", got, err)
	}
	if _, err := ProduceResponse(&initproducerid.Response{}); err == nil {
		t.Error("another message was taken for a produce response")
	}
}

func TestInitProducerID(t *testing.T) {
	t.Parallel()
	var m protocol.Message = NewInitProducerID()
	if _, ok := m.(protocol.TransactionalMessage); ok {
		t.Error("the request would look for a transaction coordinator")
	}
	var out bytes.Buffer
	if err := protocol.WriteRequest(&out, 4, 1, "", m); err != nil {
		t.Fatal(err)
	}
	_, _, _, sent, err := protocol.ReadRequest(&out)
	if err != nil {
		t.Fatal(err)
	}
	if got := sent.(*initproducerid.Request); got.ProducerID != -1 || got.ProducerEpoch != -1 ||
		got.TransactionalID != "" || got.TransactionTimeoutMs != 60_000 {
		t.Errorf("sent %+v", got)
	}
	p, code, err := InitProducerIDResponse(&initproducerid.Response{ProducerID: 7, ProducerEpoch: 2})
	if p != (Producer{ID: 7, Epoch: 2}) || code != 0 || err != nil {
		t.Errorf("%+v, %d, %v", p, code, err)
	}
	p, code, err = InitProducerIDResponse(&initproducerid.Response{ErrorCode: 14, ProducerID: -1})
	if p.ID != -1 || code != 14 || err != nil {
		t.Errorf("just after a broker's start: %+v, %d, %v", p, code, err)
	}
	if _, _, err := InitProducerIDResponse(&initproducerid.Response{ProducerID: -1}); err == nil {
		t.Error("the id -1 was accepted")
	}
	if _, _, err := InitProducerIDResponse(&produce.Response{}); err == nil {
		t.Error("another message was accepted")
	}
}

func TestRequestsGoToTheLeaderThatTheyName(t *testing.T) {
	t.Parallel()
	cluster := protocol.Cluster{Brokers: map[int32]protocol.Broker{1: {ID: 1}}} // nothing of topics
	for _, request := range []func(leader int32) protocol.BrokerMessage{
		func(leader int32) protocol.BrokerMessage { return &LeaderOffsets{Leader: leader} },
		func(leader int32) protocol.BrokerMessage { return &FetchRequest{Leader: leader} },
		func(leader int32) protocol.BrokerMessage {
			return NewProduceRequest(leader, "", -1, time.Second, nil, new(Writing))
		},
	} {
		if b, err := request(1).Broker(cluster); err != nil || b.ID != 1 {
			t.Errorf("%T: %v, %v", request(1), b, err)
		}
		if _, err := request(2).Broker(cluster); !errors.Is(err, protocol.ErrNoLeader) {
			t.Errorf("%T: %v, want %v", request(2), err, protocol.ErrNoLeader)
		}
		if _, err := request(1).Broker(protocol.Cluster{}); !errors.Is(err, ErrNoBrokers) {
			t.Errorf("%T: %v, want %v", request(1), err, ErrNoBrokers)
		}
		if _, ok := request(1).(protocol.Splitter); ok {
			t.Errorf("%T would be split by partition", request(1))
		}
	}
}
