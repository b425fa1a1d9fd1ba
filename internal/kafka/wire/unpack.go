package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// ErrUnpackLimit says that a batch unpacks to more bytes than allowed: a decompression bomb, or a limit
// that is too low for the producers of that topic.
var ErrUnpackLimit = errors.New("more bytes than the limit allows")

// unpack decompresses b to at most limit bytes.
//
// kafka-go's snappy reader believes a length in the data before it allocates, and its zstd reader a
// window size, so these two are unpacked here, by the same libraries underneath.
func unpack(c Compression, b []byte, limit int) ([]byte, error) {
	switch c {
	case Snappy:
		return unpackSnappy(b, limit)
	case Zstd:
		return unpackZstd(b, limit)
	}
	codec := c.codec()
	if codec == nil {
		return nil, fmt.Errorf("unknown codec %d", c)
	}
	r := codec.NewReader(bytes.NewReader(b))
	defer r.Close()
	var out bytes.Buffer
	out.Grow(min(4*len(b)+bytes.MinRead, limit+bytes.MinRead))
	n, err := io.Copy(&out, io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, ErrUnpackLimit
	}
	return out.Bytes(), nil
}

// xerialMagic begins a stream of snappy blocks as the Java client and kafka-go write it: the magic, two
// version numbers of 4 bytes, then blocks with their length before them. librdkafka writes one bare
// block instead.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func unpackSnappy(b []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(b, xerialMagic) {
		n, err := snappyLen(b, limit)
		if err != nil {
			return nil, err
		}
		return snappy.Decode(make([]byte, 0, n), b)
	}
	if len(b) < len(xerialMagic)+8 {
		return nil, io.ErrUnexpectedEOF
	}
	var blocks [][]byte
	total := 0
	for b = b[len(xerialMagic)+8:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		size := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		n, err := snappyLen(b[:size], limit-total)
		if err != nil {
			return nil, err
		}
		total += n
		blocks = append(blocks, b[:size])
		b = b[size:]
	}
	out := make([]byte, 0, total)
	for _, block := range blocks {
		part, err := snappy.Decode(out[len(out):cap(out)], block)
		if err != nil {
			return nil, err
		}
		out = out[:len(out)+len(part)]
	}
	return out, nil
}

// snappyLen returns the length that the block b claims to unpack to, if that can be and is allowed.
func snappyLen(b []byte, limit int) (int, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return 0, err
	}
	if n > limit {
		return 0, ErrUnpackLimit
	}
	if n > 64*len(b) { // snappy's best copy makes 64 bytes out of 3
		return 0, snappy.ErrCorrupt
	}
	return n, nil
}

// maxZstd bounds what zstd unpacks before the caller's own limit is looked at: its decoder has one bound
// for all.
const maxZstd = 128 << 20

// zstdDecoder unpacks whole frames, which it does concurrently and without goroutines of its own.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxZstd))
})

func unpackZstd(b []byte, limit int) ([]byte, error) {
	d, err := zstdDecoder()
	if err != nil {
		return nil, err
	}
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return nil, err
	}
	room := min(4*len(b), limit)
	if h.HasFCS { // the Java client does not write it
		if h.FrameContentSize > uint64(limit) {
			return nil, ErrUnpackLimit
		}
		room = int(h.FrameContentSize)
	}
	out, err := d.DecodeAll(b, make([]byte, 0, room))
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out) > limit {
		return nil, ErrUnpackLimit
	}
	return out, err
}
