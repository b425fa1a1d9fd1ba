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
	if err := protocol.WriteRequest(rw, version, correlationID, clientID, req); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, fmt.Errorf("wire: reading the answer to %s: %w", req.ApiKey(), noEOF(err))
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > limit {
		return nil, fmt.Errorf("wire: the answer to %s has %d bytes: at least 4 and at most %d can be", req.ApiKey(), size, limit)
	}
	if id := binary.BigEndian.Uint32(head[4:]); id != correlationID {
		return nil, fmt.Errorf("wire: the answer to %s has the correlation id %d instead of %d", req.ApiKey(), id, correlationID)
	}
	b := make([]byte, size-4)
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, fmt.Errorf("wire: reading the answer to %s: %w", req.ApiKey(), noEOF(err))
	}
	return b, nil
}

// noEOF turns the end of the connection into the error that it is in the middle of an exchange.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
