package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Batch is one v2 record batch of a fetch response: its header, and its records as they came. It is a
// view into the response.
type Batch struct {
	BaseOffset int64
	LastOffset int64 // of the batch, which may lie after its last record: compaction keeps the range
	BaseTime   int64 // ms since the epoch, of the first record
	MaxTime    int64 // ms since the epoch
	ProducerID int64 // -1 = not idempotent
	Sequence   int32 // of the first record
	Epoch      int16 // of the producer
	Attributes int16
	Count      int // records in it
	records    []byte
}

// IsControl reports whether the batch holds a transaction's marker and no records of an application.
func (b *Batch) IsControl() bool { return b.Attributes&attrControl != 0 }

// IsTransactional reports whether the batch belongs to a transaction of its producer.
func (b *Batch) IsTransactional() bool { return b.Attributes&attrTransaction != 0 }

// Compression returns the codec of the records.
func (b *Batch) Compression() Compression { return Compression(b.Attributes & attrCompression) }

// Size returns the bytes of the batch on the wire.
func (b *Batch) Size() int { return headerSize + len(b.records) }

// LikelyCount returns Count, or fewer where that is more than the size of the batch makes likely.
func (b *Batch) LikelyCount() int {
	most := len(b.records) / minRecord
	if b.Compression() != None {
		most *= believedRatio
	}
	return min(b.Count, most+1)
}

// CorruptError says that what a broker sent as the batch at Offset cannot be read.
type CorruptError struct {
	Offset int64 // base offset of the batch, as far as it can be told
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wire: batch at offset %d is corrupt: %v", e.Offset, e.Err)
}

// Unwrap returns what is wrong with the batch.
func (e *CorruptError) Unwrap() error { return e.Err }

// ErrCutOff is what NextBatch returns when the response ends in the middle of a batch. That is usual at
// the end of a partition's records, and the batch comes whole in the next response.
var ErrCutOff = fmt.Errorf("wire: batch is cut off: %w", io.ErrUnexpectedEOF)

var (
	errChecksum = errors.New("checksum does not match")
	errCount    = errors.New("impossible number of records")
)

// NextBatch reads the batch that b begins with, and returns what follows it. It verifies the checksum.
//
// The error is ErrCutOff, or a *CorruptError. After a *CorruptError rest is what follows the bad batch,
// whose offsets are then in batch as they are in its header; rest is nil where the batch's length
// cannot be trusted, and reading cannot go on.
func NextBatch(b []byte) (batch Batch, rest []byte, err error) {
	if len(b) < atMagic+1 {
		return Batch{}, nil, ErrCutOff
	}
	be := binary.BigEndian
	base := int64(be.Uint64(b[atBaseOffset:]))
	length := int64(int32(be.Uint32(b[atLength:]))) + lengthFrom
	batch.BaseOffset, batch.LastOffset = base, base
	if magic := b[atMagic]; magic != magicV2 {
		// Messages from before Kafka 0.11 have their length in the same place.
		if base < 0 || length <= atMagic || length > int64(len(b)) {
			return batch, nil, &CorruptError{base, fmt.Errorf("magic byte %d, length %d", magic, length)}
		}
		return batch, b[length:], &CorruptError{base, fmt.Errorf("message format %d is not supported: only 2, that of "+
			"Kafka 0.11 and later", magic)}
	}
	if base < 0 || length < headerSize {
		return batch, nil, &CorruptError{base, fmt.Errorf("impossible length %d", length)}
	}
	if length > int64(len(b)) {
		return Batch{}, nil, ErrCutOff
	}
	raw, rest := b[:length:length], b[length:]
	lastDelta := int32(be.Uint32(raw[atLastDelta:]))
	batch = Batch{
		BaseOffset: base,
		LastOffset: base + int64(max(lastDelta, 0)),
		BaseTime:   int64(be.Uint64(raw[atBaseTime:])),
		MaxTime:    int64(be.Uint64(raw[atMaxTime:])),
		ProducerID: int64(be.Uint64(raw[atProducerID:])),
		Epoch:      int16(be.Uint16(raw[atProducerEpoch:])),
		Sequence:   int32(be.Uint32(raw[atSequence:])),
		Attributes: int16(be.Uint16(raw[atAttributes:])),
		Count:      int(int32(be.Uint32(raw[atCount:]))),
		records:    raw[headerSize:],
	}
	switch {
	case crc32.Checksum(raw[atAttributes:], castagnoli) != be.Uint32(raw[atCRC:]):
		err = &CorruptError{base, errChecksum}
	case lastDelta < 0 || batch.LastOffset < base:
		err = &CorruptError{base, fmt.Errorf("impossible last offset %d after it", lastDelta)}
	case batch.Count < 0 || int64(batch.Count) > int64(lastDelta)+1:
		err = &CorruptError{base, errCount}
	}
	return batch, rest, err
}
