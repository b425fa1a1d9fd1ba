package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	kfetch "github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchResponse returns a fetch response v11 with one partition, from behind the correlation id.
func fetchResponse(topic string, partition int32, records []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 9)                    // throttle
	b = append(b, 0, 0, 0, 0, 0, 0)                 // code, session
	b = be.AppendUint32(b, 1)                       // topics
	b = be.AppendUint16(b, uint16(len(topic)))      //
	b = append(b, topic...)                         //
	b = be.AppendUint32(b, 1)                       // partitions
	b = be.AppendUint32(b, uint32(partition))       //
	b = append(b, 0, 6)                             // code
	b = be.AppendUint64(b, 100)                     // high watermark
	b = be.AppendUint64(b, 90)                      // last stable
	b = be.AppendUint64(b, 10)                      // log start
	b = be.AppendUint32(b, 1)                       // aborted
	b = be.AppendUint64(be.AppendUint64(b, 77), 12) //
	b = be.AppendUint32(b, 1<<32-1)                 // preferred replica
	return append(be.AppendUint32(b, uint32(len(records))), records...)
}

// conn is a broker that answers every request with the same bytes.
type conn struct {
	io.Reader
	sent bytes.Buffer
}

func (c *conn) Write(b []byte) (int, error) { return c.sent.Write(b) }

func answer(correlation uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	return append(binary.BigEndian.AppendUint32(b, correlation), body...)
}

func newFetch() *FetchRequest {
	return &FetchRequest{ClientID: "me", Leader: 2, Request: kfetch.Request{ReplicaID: -1, SessionEpoch: -1, Topics: []kfetch.RequestTopic{
		{Topic: "topic", Partitions: []kfetch.RequestPartition{{Partition: 3, CurrentLeaderEpoch: -1, LogStartOffset: -1}}}}}}
}

func TestFetchExchange(t *testing.T) {
	t.Parallel()
	body := fetchResponse("topic", 3, []byte("records"))
	r := newFetch()
	if !r.Required(map[protocol.ApiKey]int16{protocol.Fetch: 11}) {
		t.Fatal("not a raw exchange")
	}
	c := &conn{Reader: bytes.NewReader(answer(1, body))}
	m, err := r.RawExchange(c)
	if err != nil {
		t.Fatal(err)
	}
	want := &FetchResponse{ThrottleMs: 9, Size: len(body), Partitions: []FetchedPartition{{
		Topic: "topic", Partition: 3, Code: 6, HighWatermark: 100, LastStable: 90, LogStart: 10,
		Aborted: []AbortedTransaction{{ProducerID: 77, FirstOffset: 12}}, Records: []byte("records"),
	}}}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	version, _, client, sent, err := protocol.ReadRequest(&c.sent)
	if err != nil || version != 11 || client != "me" {
		t.Fatalf("sent version %d, client %q, %v", version, client, err)
	}
	r.ForgottenTopics = []kfetch.RequestForgottenTopic{}
	if diff := cmp.Diff(&r.Request, sent); diff != "" {
		t.Error(diff)
	}
}

func TestFetchExchangeErrors(t *testing.T) {
	t.Parallel()
	body := fetchResponse("topic", 3, nil)
	tests := []struct {
		name    string
		version int16
		answer  []byte
		want    string
		eof     bool
	}{
		{"broker too old", 10, nil, "Kafka 2.3 or later", false},
		{"no answer", 11, nil, "unexpected EOF", true},
		{"cut off", 11, answer(1, body[:50])[:20], "unexpected EOF", true},
		{"too large", 11, binary.BigEndian.AppendUint64(nil, 1<<40), "at most 64", false},
		{"other correlation", 11, answer(2, body[:50]), "correlation id 2", false},
		{"not a response", 11, answer(1, body[:50]), "exceeds its bytes", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newFetch()
			r.Limit = 64
			r.Required(map[protocol.ApiKey]int16{protocol.Fetch: tt.version})
			_, err := r.RawExchange(&conn{Reader: bytes.NewReader(tt.answer)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) != tt.eof {
				t.Errorf("%v is an unexpected EOF: %v", err, !tt.eof)
			}
		})
	}
}

// TestFetchResponseBounds cuts a response at every length and puts a huge number at every place: no
// panic, and nothing is allocated that the bytes could not fill.
func TestFetchResponseBounds(t *testing.T) {
	body := fetchResponse("topic", 3, []byte("records"))
	for i := range body {
		if _, err := parseFetch(body[:i]); err == nil {
			t.Errorf("cut at %d: no error", i)
		}
	}
	for i := range len(body) - 4 {
		b := bytes.Clone(body)
		binary.BigEndian.PutUint32(b[i:], 1<<31-1)
		if n := testing.AllocsPerRun(1, func() { _, _ = parseFetch(b) }); n > 20 {
			t.Errorf("a huge number at %d: %v allocations", i, n)
		}
	}
}

func TestFetchRoutesToItsLeader(t *testing.T) {
	t.Parallel()
	r := newFetch()
	cluster := protocol.Cluster{Brokers: map[int32]protocol.Broker{2: {ID: 2, Host: "two"}}}
	if b, err := r.Broker(cluster); err != nil || b.Host != "two" {
		t.Errorf("%v, %v: the topic being unknown must not matter", b, err)
	}
	r.Leader = 3
	if _, err := r.Broker(cluster); !errors.Is(err, protocol.ErrNoLeader) {
		t.Errorf("%v, want ErrNoLeader", err)
	}
}
