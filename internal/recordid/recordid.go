// Package recordid generates the ids of records.
package recordid

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// Length is the length of an id, a UUID as text.
const Length = 36

// New writes a new UUIDv7 (RFC 9562) as text: the time in milliseconds, then 74 random bits. The bits come from the
// runtime's ChaCha8 generator: it is as strong as the system's and needs no system call for each published record.
func New(text *[Length]byte, now time.Time) {
	const version, variant = 7 << 12, 1 << 63
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixMilli())<<16|version|rand.Uint64()&0xfff)
	binary.BigEndian.PutUint64(id[8:], variant|rand.Uint64()>>2)
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
}
