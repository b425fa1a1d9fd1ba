package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compress appends src, compressed by c, to dst. The encoders are pooled: they have tables of up to a megabyte.
func compress(dst, src []byte, c Compression) ([]byte, error) {
	switch c {
	case Gzip:
		return compressGzip(dst, src)
	case Snappy:
		return compressSnappy(dst, src), nil
	case Lz4:
		return compressLz4(dst, src)
	case Zstd:
		e, err := zstdEncoder()
		if err != nil {
			return nil, err
		}
		dst = e.EncodeAll(src, dst)
		zstdEncoders.Put(e)
		return dst, nil
	}
	return nil, fmt.Errorf("unknown codec %d", c)
}

// appender is a writer that appends to a slice.
type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

var gzipEncoders = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func compressGzip(dst, src []byte) ([]byte, error) {
	e := gzipEncoders.Get().(*gzip.Writer)
	defer gzipEncoders.Put(e)
	out := appender(slices.Grow(dst, len(src)/3))
	e.Reset(&out)
	_, err := e.Write(src)
	err = errors.Join(err, e.Close())
	e.Reset(io.Discard) // the pool does not keep the batch
	return out, err
}

// snappyBlock is how much one block of snappy unpacks to. The format looks no further back than that anyway.
const snappyBlock = 64 << 10

// compressSnappy writes framed blocks, as the Java client does, with the fast encoder. A reader needs memory for one
// block.
func compressSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1) // the version, and the oldest one that reads it
	for block := range slices.Chunk(src, snappyBlock) {
		at := len(dst) + 4
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))
		n := len(s2.EncodeSnappy(dst[at:cap(dst)], block))
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))[:at+n]
	}
	return dst
}

// The header of an lz4 frame: the magic, a version with independent blocks and no checksums (the batch has one), the
// size of a block and a checksum of the two bytes before it. Java's client writes the first of them.
var lz4Frames = [...]struct {
	block  int
	header string
}{
	{64 << 10, "\x04\x22\x4d\x18\x60\x40\x82"},
	{256 << 10, "\x04\x22\x4d\x18\x60\x50\xfb"},
	{1 << 20, "\x04\x22\x4d\x18\x60\x60\x51"},
	{4 << 20, "\x04\x22\x4d\x18\x60\x70\x73"},
}

// lz4Raw marks the length of a block that is not compressed.
const lz4Raw = 1 << 31

var lz4Encoders = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// compressLz4 writes a frame whose blocks are no larger than they need to be: whoever reads it makes room for a whole
// one. The library's writer copies what it is given.
func compressLz4(dst, src []byte) ([]byte, error) {
	e := lz4Encoders.Get().(*lz4.Compressor)
	defer lz4Encoders.Put(e)
	frame := lz4Frames[len(lz4Frames)-1]
	for _, f := range lz4Frames {
		if len(src) <= f.block {
			frame = f
			break
		}
	}
	dst = append(dst, frame.header...)
	for block := range slices.Chunk(src, frame.block) {
		at := len(dst) + 4
		dst = slices.Grow(dst, 4+lz4.CompressBlockBound(len(block)))
		n, err := e.CompressBlock(block, dst[at:cap(dst)])
		if err != nil {
			return nil, err
		}
		length := uint32(n)
		if n == 0 || n >= len(block) {
			n = copy(dst[at:cap(dst)], block)
			length = uint32(n) | lz4Raw
		}
		dst = binary.LittleEndian.AppendUint32(dst, length)[:at+n]
	}
	return append(dst, 0, 0, 0, 0), nil // the end of the frame
}

// zstdWindow is how far back an encoder looks. More costs a fifth of the CPU, and saves little where records are alike.
const zstdWindow = 64 << 10

var zstdEncoders sync.Pool // of *zstd.Encoder

func zstdEncoder() (*zstd.Encoder, error) {
	if e, ok := zstdEncoders.Get().(*zstd.Encoder); ok {
		return e, nil
	}
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true), zstd.WithWindowSize(zstdWindow))
}
