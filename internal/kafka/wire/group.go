package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/segmentio/kafka-go/protocol"
)

// The answers to group requests are small. That of a join holds the subscription of every member, that
// to a question for offsets the metadata string of every commit: brokers keep each below 1 MiB unless
// told otherwise.
const (
	groupAnswerLimit  = 32 << 20
	memberAnswerLimit = 1 << 16 // where nothing but this one member is answered
)

// Member is the one that sends a group request: embedded in each of them, it takes them to the
// coordinator of its group. Make one per member and copy it into every request.
type Member struct {
	GroupID    string // Kafka's group.id
	MemberID   string // as the coordinator gave it; "" before the first join
	InstanceID string // Kafka's group.instance.id, of a static member; "" = none
	ClientID   string // Kafka's client.id, by which brokers log and apply quotas

	versions map[protocol.ApiKey]int16
}

// Group implements protocol.GroupMessage.
func (m *Member) Group() string { return m.GroupID }

// Required implements protocol.RawExchanger.
func (m *Member) Required(versions map[protocol.ApiKey]int16) bool {
	m.versions = versions
	return true
}

// groupRequest is what every request of a group is to kafka-go.
type groupRequest interface {
	protocol.Message
	protocol.GroupMessage
	protocol.RawExchanger
}

// groupVersions are those of one request that brokers from Kafka 2.5 on have in common with kafka-go.
type groupVersions struct {
	least, newest int16
	flexible      int16 // from this one on, lengths are compact and structures end in tags
}

// exchange sends req and returns a reader of the answer, which stands at its first field.
func (m *Member) exchange(rw io.ReadWriter, v groupVersions, req protocol.Message, limit uint32) (*groupReader, error) {
	version := m.versions[req.ApiKey()]
	if err := needVersion(req.ApiKey().String(), version, v.least, v.newest, "2.5"); err != nil {
		return nil, err
	}
	b, err := Exchange(rw, version, m.ClientID, req, limit)
	if err != nil {
		return nil, err
	}
	return newGroupReader(b, version >= v.flexible), nil
}

// groupReader reads the answers to group requests. In flexible versions it reads compact lengths.
type groupReader struct {
	reader
	flexible bool
}

// newGroupReader returns a reader of b, an answer from behind its correlation id.
func newGroupReader(b []byte, flexible bool) *groupReader {
	r := &groupReader{reader: reader{b: b}, flexible: flexible}
	r.tags() // of the header
	return r
}

// string returns a text; "" for null.
func (r *groupReader) string() string {
	if !r.flexible {
		return r.reader.string()
	}
	return string(r.next(r.compact()))
}

// bytes returns a view into the answer; it is empty for null.
func (r *groupReader) bytes() []byte {
	if !r.flexible {
		return r.reader.bytes()
	}
	return r.next(r.compact())
}

// count returns the length of an array whose elements have at least size bytes each; 0 for null.
func (r *groupReader) count(size int) int {
	if !r.flexible {
		return r.reader.count(size)
	}
	n := r.compact()
	if n > len(r.b)/size {
		r.failed = true
	}
	if r.failed {
		return 0
	}
	return n
}

// compact returns a length that was written with one added; 0 for null.
func (r *groupReader) compact() int { return max(r.uvarint()-1, 0) }

// tags passes the tagged fields at the end of a structure: none is defined in what we read.
func (r *groupReader) tags() {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && !r.failed; n-- {
		r.uvarint() // which field
		r.next(r.uvarint())
	}
}

// uvarint returns an unsigned varint of at most 31 bits, which all lengths have.
func (r *groupReader) uvarint() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > math.MaxInt32 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

// err is for the end of an answer to a request of key: what was read is to be believed if it is nil.
func (r *groupReader) err(key protocol.ApiKey) error {
	if r.failed {
		return fmt.Errorf("wire: reading the answer to %s: a count or a length in it exceeds its bytes", key)
	}
	return nil
}
