package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

const correlationID = 1 // one exchange at a time on a connection of kafka-go

// Exchange writes req, in the version that was negotiated, and reads the answer to it, which may have
// at most limit bytes. It returns the answer from behind the correlation id. It is made for the
// RawExchange method of a message; an error out of there closes the connection, as it should.
func Exchange(rw io.ReadWriter, version int16, clientID string, req protocol.Message, limit uint32) ([]byte, error) {
	size, err := ask(rw, version, clientID, req, limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, readError(req, err)
	}
	return b, nil
}

// ask does the first half of an exchange: it reads the answer up to its correlation id, and returns how
// many bytes are behind that.
func ask(rw io.ReadWriter, version int16, clientID string, req protocol.Message, limit uint32) (size int, err error) {
	if err := protocol.WriteRequest(rw, version, correlationID, clientID, req); err != nil {
		return 0, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return 0, readError(req, err)
	}
	all := binary.BigEndian.Uint32(head[:])
	if all < 4 || all > limit {
		return 0, fmt.Errorf("wire: the answer to %s has %d bytes: at least 4 and at most %d can be",
			req.ApiKey(), all, limit)
	}
	if id := binary.BigEndian.Uint32(head[4:]); id != correlationID {
		return 0, fmt.Errorf("wire: the answer to %s has the correlation id %d instead of %d", req.ApiKey(), id,
			correlationID)
	}
	return int(all - 4), nil
}

// needVersion returns an error if the version of a request that was agreed with the broker is not from least to newest.
// kafka is the Kafka version that has brought least.
func needVersion(doing string, agreed, least, newest int16, kafka string) error {
	if agreed >= least && agreed <= newest {
		return nil
	}
	return fmt.Errorf("wire: %s: version %d was agreed with the broker and %d is needed, which is Kafka %s or later",
		doing, agreed, least, kafka)
}

func readError(req protocol.Message, err error) error {
	return fmt.Errorf("wire: reading the answer to %s: %w", req.ApiKey(), noEOF(err))
}

// noEOF turns the end of the connection into the error that it is in the middle of an exchange.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ErrNoBrokers says that a request was not sent because the Transport knows no broker: it has dropped its connections,
// and none has answered it since.
var ErrNoBrokers = errors.New("no broker answers")

// leader returns the broker that leads the partitions of a request. The Transport knows the brokers, and nothing of
// topics.
func leader(c protocol.Cluster, id int32, doing string) (protocol.Broker, error) {
	b, ok := c.Brokers[id]
	switch {
	case len(c.Brokers) == 0:
		return protocol.Broker{ID: -1}, fmt.Errorf("wire: %s: %w", doing, ErrNoBrokers)
	case !ok:
		return protocol.Broker{ID: -1}, fmt.Errorf("wire: %s: broker %d is not in the cluster's metadata: %w", doing, id,
			protocol.ErrNoLeader)
	}
	return b, nil
}
