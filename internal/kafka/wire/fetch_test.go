package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	kfetch "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
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
	return &FetchRequest{ClientID: "me", Leader: 2, Request: kfetch.Request{ReplicaID: -1, SessionEpoch: -1,
		Topics: []kfetch.RequestTopic{
			{Topic: "topic", Partitions: []kfetch.RequestPartition{{Partition: 3, CurrentLeaderEpoch: -1,
				LogStartOffset: -1}}}}}}
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
		Topic: "topic", Partition: 3, Code: 6, Preferred: -1, HighWatermark: 100, LastStable: 90, LogStart: 10,
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

// TestFetchResponseBounds cuts a response at every length, once by what it says of itself and once by the
// end of the connection, and puts a huge number at every place: no panic, and no more memory than what a
// length is believed.
func TestFetchResponseBounds(t *testing.T) {
	body := fetchResponse("topic", 3, []byte("records"))
	for i := range body {
		if _, err := readFetch(bytes.NewReader(body), i, nil); !errors.Is(err, errLength) {
			t.Errorf("cut at %d: %v", i, err)
		}
		if _, err := readFetch(bytes.NewReader(body[:i]), len(body), nil); !errors.Is(noEOF(err), io.ErrUnexpectedEOF) {
			t.Errorf("ended at %d: %v", i, err)
		}
	}
	for i := range len(body) - 4 {
		for number, size := range map[uint32]int{1<<31 - 1: len(body), 100 << 20: DefaultResponseLimit} {
			b := bytes.Clone(body)
			binary.BigEndian.PutUint32(b[i:], number)
			if n := allocatedBy(func() { _, _ = readFetch(bytes.NewReader(b), size, nil) }); n > believed+(64<<10) {
				t.Errorf("%d at %d of %d: %d bytes allocated", number, i, size, n)
			}
		}
	}
}

// TestFetchResponseGrows reads records that are longer than a length is believed.
func TestFetchResponseGrows(t *testing.T) {
	t.Parallel()
	records := make([]byte, 5*believed+1)
	for i := range records {
		records[i] = byte(i * 7 >> 3)
	}
	body := fetchResponse("topic", 3, records)
	res, err := readFetch(bytes.NewReader(body), len(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := res.Partitions[0].Records
	if !bytes.Equal(got, records) || cap(got) != len(got) {
		t.Errorf("got %d bytes with room for %d, want %d", len(got), cap(got), len(records))
	}
}

// TestFetchResponseLeavesTheRest puts two answers on one connection, the first with bytes that nobody knows.
func TestFetchResponseLeavesTheRest(t *testing.T) {
	t.Parallel()
	body := fetchResponse("topic", 3, []byte("records"))
	c := &conn{Reader: bytes.NewReader(append(answer(1, append(body, "more"...)), answer(1, body)...))}
	for i := range 2 {
		r := newFetch()
		r.Required(map[protocol.ApiKey]int16{protocol.Fetch: 11})
		if _, err := r.RawExchange(c); err != nil {
			t.Errorf("exchange %d: %v", i, err)
		}
	}
}

// TestPartitionsShareNoMemory holds on to the records of one partition: those of the other go.
func TestPartitionsShareNoMemory(t *testing.T) {
	t.Parallel()
	one := fetchResponse("one", 0, make([]byte, 1<<20))
	two := fetchResponse("two", 0, make([]byte, 1<<20))
	const head = 4 + 2 + 4 + 4
	body := append(one, two[head:]...)
	binary.BigEndian.PutUint32(body[head-4:], 2)
	res, err := readFetch(bytes.NewReader(body), len(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	held, other := res.Partitions[0].Records, weak.Make(&res.Partitions[1].Records[0])
	testkit.Until(t, "the other partition's records are freed", func() bool {
		runtime.GC()
		return other.Value() == nil
	})
	runtime.KeepAlive(held)
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
