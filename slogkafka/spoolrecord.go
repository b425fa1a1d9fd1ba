package slogkafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// A record in the spool is a version, flags, its time, its id, and then its stream, key, value, the ids of its span
// and tracestate, each behind its length.
const spoolVersion = 1

const (
	flagKey   = 1 << iota // it has a key, which may be empty
	flagTime              // it has a time
	flagTried             // it was given to the producer
	flagTruncated
)

var errSpoolRecord = errors.New("no log record of this version")

// appendSpooled appends the record as it lies in the spool, with its id, which it keeps there. stream is the
// name of those that have none of their own.
func (r *queued) appendSpooled(dst []byte, now time.Time, clock *logrecord.Clock, stream string) []byte {
	r.makeID(now)
	var flags byte
	var millis int64
	if r.keyLen >= 0 {
		flags |= flagKey
	}
	if !r.time.IsZero() {
		flags |= flagTime
		millis = r.time.UnixMilli() // as precise as Kafka's
	}
	if r.tried {
		flags |= flagTried
	}
	if r.truncated {
		flags |= flagTruncated
	}
	dst = append(dst, spoolVersion, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(millis))
	dst = append(dst, r.id[:]...)
	dst = appendPart(dst, cmp.Or(r.stream, stream))
	dst = appendPart(dst, r.key())
	dst = r.appendValue(binary.AppendUvarint(dst, uint64(r.valueLen())), clock)
	dst = appendPart(dst, r.span())
	return appendPart(dst, r.vendors)
}

func appendPart[T string | []byte](dst []byte, part T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(part))), part...)
}

// fromSpool returns the record that appendSpooled has written, for a shard. stream is the name that most records have.
func fromSpool(s *shard, data []byte, stream string) (*queued, error) {
	const fixed = 2 + 8 + recordid.Length
	if len(data) < fixed || data[0] != spoolVersion {
		return nil, errSpoolRecord
	}
	flags, millis, id := data[1], int64(binary.LittleEndian.Uint64(data[2:])), data[2+8:fixed]
	var parts [5][]byte
	rest := data[fixed:]
	for i := range parts {
		n, width := binary.Uvarint(rest)
		if width <= 0 || n > uint64(len(rest)-width) {
			return nil, errSpoolRecord
		}
		parts[i], rest = rest[width:width+int(n)], rest[width+int(n):]
	}
	key, value, span := parts[1], parts[2], parts[3]
	if len(rest) > 0 || len(key) > 0 && flags&flagKey == 0 || len(span) != 0 && len(span) != spanLength {
		return nil, errSpoolRecord
	}
	r := s.emptyRecord(len(value) + len(key) + len(span))
	r.memory = append(append(append(r.memory, value...), key...), span...)
	r.textLen, r.keyLen, r.charge = int32(len(value)), int32(len(key)), memoryCharge(cap(r.memory))
	r.level, r.time = unknownLevel, time.Time{}
	if flags&flagKey == 0 {
		r.keyLen = -1
	}
	if flags&flagTime != 0 {
		r.time = time.UnixMilli(millis)
	}
	if string(parts[0]) != stream {
		r.stream = string(parts[0])
	}
	r.vendors, r.tried, r.truncated = string(parts[4]), flags&flagTried != 0, flags&flagTruncated != 0
	r.hasID = true
	copy(r.id[:], id)
	return r, nil
}
