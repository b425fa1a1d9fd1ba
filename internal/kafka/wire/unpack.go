package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ErrUnpackLimit says that a batch cannot be unpacked in pieces, and unpacks to more bytes than allowed as a whole.
var ErrUnpackLimit = errors.New("more bytes than the limit allows")

const (
	// maxWhole is the most that a batch may unpack to for it to be unpacked at once. A larger one is unpacked in
	// pieces, of which no more than one is in memory beside the records that are held.
	maxWhole = 4 << 20
	// pieceSize is how much of a larger batch is unpacked at once, unless a record is larger.
	pieceSize = 1 << 20
	// minPiece is the least that is unpacked at once. The beginning of a record, up to its key, is shorter.
	minPiece = 512
	// maxWindow is the most that a zstd frame may refer back for it to be unpacked in pieces: what RFC 8878 has every
	// decoder support, and more than levels up to 19 need.
	maxWindow = 8 << 20
	// zstdBlock is the most that one block of zstd unpacks to, whose header alone has 3 bytes.
	zstdBlock = 128 << 10
	// believedRatio bounds what a batch is believed to unpack to before any of it has been unpacked.
	believedRatio = 32
)

// unpacked is what a compressed batch unpacks to: data, and then what src reads.
type unpacked struct {
	data  []byte
	src   io.Reader // nil when data is all
	size  int       // how many bytes src has, as far as the batch says, which may be wrong
	guess bool      // the batch does not say it
	close func()    // puts the decoder of src back, for other batches; may be nil
}

// unpack begins to unpack b. What cannot be unpacked in pieces may unpack to limit bytes at most.
func unpack(c Compression, b []byte, limit int) (unpacked, error) {
	switch c {
	case Gzip:
		return unpackGzip(b)
	case Snappy:
		return unpackSnappy(b, limit)
	case Lz4:
		return unpackLz4(b), nil
	case Zstd:
		return unpackZstd(b, limit)
	}
	return unpacked{}, fmt.Errorf("unknown codec %d", c)
}

// buffers are for what does not say how much it unpacks to: it is unpacked into one, and copied. None is larger than
// maxWhole.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// gzipDecoder is a gzip reader and what it reads from, so that both serve again.
type gzipDecoder struct {
	gzip.Reader
	src bytes.Reader
}

var gzipDecoders = sync.Pool{New: func() any { return new(gzipDecoder) }}

func unpackGzip(b []byte) (unpacked, error) {
	d := gzipDecoders.Get().(*gzipDecoder)
	d.src.Reset(b)
	if err := d.Reset(&d.src); err != nil {
		gzipDecoders.Put(d)
		return unpacked{}, err
	}
	size := binary.LittleEndian.Uint32(b[len(b)-4:]) // of the last member, and nearly all have one
	return unpacked{src: d, size: int(size), close: func() { gzipDecoders.Put(d) }}, nil
}

// lz4Decoder is an lz4 reader and what it reads from. The library has pools of its own for its blocks.
type lz4Decoder struct {
	*lz4.Reader
	src bytes.Reader
}

var lz4Decoders = sync.Pool{New: func() any { return &lz4Decoder{Reader: lz4.NewReader(nil)} }}

func unpackLz4(b []byte) unpacked {
	d := lz4Decoders.Get().(*lz4Decoder)
	d.src.Reset(b)
	d.Reset(&d.src)
	size := 4 * len(b)
	if len(b) > 5 {
		size = max(size, 1<<(8+b[5]>>4&7*2)) // the frame's largest block: what has room for it gets it without a copy
	}
	return unpacked{src: d, size: size, guess: true, close: func() {
		d.Reset(nil) // gives its block back
		lz4Decoders.Put(d)
	}}
}

// xerialMagic begins a stream of snappy blocks as the Java client and kafka-go write it: the magic, two
// version numbers of 4 bytes, then blocks with their length before them. librdkafka writes one bare
// block instead.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// unpackSnappy unpacks block by block. No block may unpack to more than limit bytes.
func unpackSnappy(b []byte, limit int) (unpacked, error) {
	if !bytes.HasPrefix(b, xerialMagic) {
		n, err := snappyLen(b, limit)
		if err != nil {
			return unpacked{}, err
		}
		data, err := snappy.Decode(make([]byte, n), b)
		return unpacked{data: data}, err
	}
	if len(b) < len(xerialMagic)+8 {
		return unpacked{}, io.ErrUnexpectedEOF
	}
	d := &snappyDecoder{blocks: b[len(xerialMagic)+8:], limit: limit}
	size := 0
	for rest := *d; ; {
		block, err := rest.next()
		if err != nil {
			break // d meets it too
		}
		n, _ := snappy.DecodedLen(block)
		size += n
	}
	return unpacked{src: d, size: size}, nil
}

// snappyDecoder reads a row of snappy blocks, each with its length before it.
type snappyDecoder struct {
	blocks []byte
	rest   []byte // of a block that did not fit into what Read was given
	buffer []byte // that rest lies in
	limit  int
}

// Read unpacks one block: right into p, if it fits.
func (d *snappyDecoder) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		block, err := d.next()
		if err != nil {
			return 0, err
		}
		n, err := snappyLen(block, d.limit)
		if err != nil {
			return 0, err
		}
		if 0 < n && n <= len(p) {
			_, err := snappy.Decode(p[:n], block)
			return n, err
		}
		if d.buffer, err = snappy.Decode(d.buffer[:cap(d.buffer)], block); err != nil {
			return 0, err
		}
		d.rest = d.buffer
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// next takes the next block; it is io.EOF when there is none.
func (d *snappyDecoder) next() ([]byte, error) {
	if len(d.blocks) == 0 {
		return nil, io.EOF
	}
	if len(d.blocks) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	n, rest := binary.BigEndian.Uint32(d.blocks), d.blocks[4:]
	if uint64(n) > uint64(len(rest)) {
		return nil, io.ErrUnexpectedEOF
	}
	d.blocks = rest[n:]
	return rest[:n], nil
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
	if n/22 > len(b) { // snappy's best copy makes 64 bytes out of 3
		return 0, snappy.ErrCorrupt
	}
	return n, nil
}

// zstdDecoder unpacks at once, up to the capacity it is given, which it does concurrently and without goroutines of
// its own.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

// zstdStreams are decoders that unpack in pieces. Each keeps a window.
var zstdStreams sync.Pool

// unpackZstd unpacks at once what is small, and in pieces what is not. A batch that refers back too far for that may
// unpack to limit bytes.
func unpackZstd(b []byte, limit int) (unpacked, error) {
	d, err := zstdDecoder()
	if err != nil {
		return unpacked{}, err
	}
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return unpacked{}, err
	}
	size := h.FrameContentSize // 0 where it is not known
	if size > zstdBlock*uint64(len(b)/3) {
		return unpacked{}, zstd.ErrUnexpectedBlockSize
	}
	if 0 < size && size <= min(maxWhole, believedRatio*uint64(len(b))) {
		if data, err := d.DecodeAll(b, make([]byte, 0, size)); err == nil {
			return unpacked{data: data}, nil
		}
	}
	if size <= maxWhole {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		if data, err := growZstd(d, b, *buffer, min(believedRatio*len(b), maxWhole), maxWhole); err == nil {
			*buffer = data
			return unpacked{data: bytes.Clone(data)}, nil
		}
	}
	if h.SingleSegment && size > maxWindow || h.WindowSize > maxWindow {
		data, err := growZstd(d, b, nil, min(4*maxWhole, limit), limit)
		if err != nil {
			err = fmt.Errorf("at once, as its window is too large for pieces, into %d bytes: %w", limit, err)
		}
		return unpacked{data: data}, err
	}
	return streamZstd(b)
}

// growZstd unpacks b into buffer, and into larger ones, from size on and up to limit bytes. Any error may say that
// there was too little room: the library does not tell it from others.
func growZstd(d *zstd.Decoder, b, buffer []byte, size, limit int) ([]byte, error) {
	for {
		if cap(buffer) < size {
			buffer = make([]byte, 0, size)
		}
		out, err := d.DecodeAll(b, buffer[:0])
		if err == nil || cap(buffer) >= limit {
			return out, err
		}
		size = min(4*cap(buffer), limit)
	}
}

func streamZstd(b []byte) (unpacked, error) {
	d, ok := zstdStreams.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
			return unpacked{}, err
		}
	}
	if err := d.Reset(bytes.NewReader(b)); err != nil {
		return unpacked{}, err
	}
	return unpacked{src: d, size: pieceSize, close: func() {
		if d.Reset(nil) == nil {
			zstdStreams.Put(d)
		}
	}}, nil
}
