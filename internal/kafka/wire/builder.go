package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// Where the fields of a v2 batch lie. The checksum covers everything from atAttributes on.
const (
	atBaseOffset          = 0
	atLength              = 8
	atLeaderEpoch         = 12
	atMagic               = 16
	atCRC                 = 17
	atAttributes          = 21
	atLastDelta           = 23
	atBaseTime            = 27
	atMaxTime             = 35
	atProducerID          = 43
	atProducerEpoch       = 51
	atSequence            = 53
	atCount               = 57
	headerSize            = 61
	lengthFrom            = 12 // the length field counts the bytes that come after it
	magicV2               = 2
	attrCompression       = 0x07
	attrLogAppend         = 0x08
	attrTransaction       = 0x10
	attrControl           = 0x20
	minRecord             = 7 // the bytes of a record without key, value and headers
	maxVarint             = 10
	noProducer      int64 = -1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is one header of a record. A nil Value is null.
type Header struct {
	Name  string
	Value []byte
}

// Producer identifies an idempotent producer in a batch. ID -1 means none; use NoProducer for that.
type Producer struct {
	ID       int64
	Epoch    int16
	Sequence int32 // of the batch's first record in its partition
}

// NoProducer returns the Producer of a batch that is not idempotent.
func NoProducer() Producer { return Producer{ID: noProducer, Epoch: -1, Sequence: -1} }

// Builder collects records into one v2 batch in the form it has on the wire. The zero value is ready.
// It copies what it is given. It is not for concurrent use.
type Builder struct {
	buf      []byte // header, then the records
	packed   []byte // header, then the compressed records; made by Seal
	n        int
	baseTime int64
	maxTime  int64
}

// Append adds a record. A nil key or value is null; an empty one is empty. timeMs is in milliseconds
// since the epoch and may be lower than that of an earlier record.
func (b *Builder) Append(timeMs int64, key, value []byte, headers []Header) {
	if b.n == 0 {
		b.buf = append(b.buf[:0], make([]byte, headerSize)...)
		b.baseTime, b.maxTime = timeMs, timeMs
	}
	b.maxTime = max(b.maxTime, timeMs)
	timeDelta, offsetDelta := timeMs-b.baseTime, int64(b.n)
	b.n++

	size := 1 + varintSize(timeDelta) + varintSize(offsetDelta) + bytesSize(key) + bytesSize(value) +
		varintSize(int64(len(headers)))
	for i := range headers {
		size += varintSize(int64(len(headers[i].Name))) + len(headers[i].Name) + bytesSize(headers[i].Value)
	}
	buf := binary.AppendVarint(b.buf, int64(size))
	buf = append(buf, 0) // attributes of the record: none are defined
	buf = binary.AppendVarint(buf, timeDelta)
	buf = binary.AppendVarint(buf, offsetDelta)
	buf = appendBytes(buf, key)
	buf = appendBytes(buf, value)
	buf = binary.AppendVarint(buf, int64(len(headers)))
	for i := range headers {
		buf = binary.AppendVarint(buf, int64(len(headers[i].Name)))
		buf = append(buf, headers[i].Name...)
		buf = appendBytes(buf, headers[i].Value)
	}
	b.buf = buf
}

// Len returns the number of records.
func (b *Builder) Len() int { return b.n }

// Size returns how many bytes the batch has now, uncompressed, its header included.
func (b *Builder) Size() int {
	if b.n == 0 {
		return headerSize
	}
	return len(b.buf)
}

// Reset empties the builder and keeps its buffer.
func (b *Builder) Reset() { b.n, b.buf = 0, b.buf[:0] }

// Seal returns the finished batch, without the size that a produce request puts before it. The records
// are compressed by c, unless that makes them longer. The result may share the builder's memory: after
// Seal the builder is only good for Reset, and for that only when the batch is no longer needed. An
// empty builder is an error.
func (b *Builder) Seal(p Producer, c Compression) ([]byte, error) {
	if b.n == 0 {
		return nil, errors.New("wire: sealing a batch: it has no records")
	}
	batch := b.buf
	if c != None {
		packed, err := compress(append(b.packed[:0], b.buf[:headerSize]...), b.buf[headerSize:], c)
		if err != nil {
			return nil, fmt.Errorf("wire: compressing a batch with %s: %w", c, err)
		}
		b.packed = packed
		if len(packed) < len(b.buf) {
			batch = packed
		} else {
			c = None
		}
	}
	be := binary.BigEndian
	be.PutUint64(batch[atBaseOffset:], 0)
	be.PutUint32(batch[atLength:], uint32(len(batch)-lengthFrom))
	be.PutUint32(batch[atLeaderEpoch:], 1<<32-1) // -1: the broker fills it in
	batch[atMagic] = magicV2
	be.PutUint16(batch[atAttributes:], uint16(c))
	be.PutUint32(batch[atLastDelta:], uint32(b.n-1))
	be.PutUint64(batch[atBaseTime:], uint64(b.baseTime))
	be.PutUint64(batch[atMaxTime:], uint64(b.maxTime))
	be.PutUint64(batch[atProducerID:], uint64(p.ID))
	be.PutUint16(batch[atProducerEpoch:], uint16(p.Epoch))
	be.PutUint32(batch[atSequence:], uint32(p.Sequence))
	be.PutUint32(batch[atCount:], uint32(b.n))
	be.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
	return batch, nil
}

// RecordSize returns an upper bound of what Append adds to Size for such a record.
func RecordSize(key, value []byte, headers []Header) int {
	// Length, time delta, offset delta and the number of headers at their widest, and the attributes.
	size := 5 + 1 + maxVarint + 5 + 5 + bytesSize(key) + bytesSize(value)
	for i := range headers {
		size += varintSize(int64(len(headers[i].Name))) + len(headers[i].Name) + bytesSize(headers[i].Value)
	}
	return size
}

// appendBytes appends b with its length before it; nil has the length -1.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // the varint of -1
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// varintSize returns the number of bytes of v as a zigzag varint.
func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}
