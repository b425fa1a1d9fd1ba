package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame is one record on disk: a magic number with the version of the format, the record's length, its number, the
// checksum of these and of the record, and the record.
const (
	frameMark    = "KSP1"
	lengthAt     = len(frameMark)
	numberAt     = lengthAt + 4
	checksumAt   = numberAt + 8
	frameHeader  = checksumAt + 4
	maxFrame     = frameHeader + MaxRecord
	frameCorrupt = -1
)

// checksum returns a CRC32C, which processors compute in hardware.
func checksum(header, record []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(header, table), table, record)
}

func appendFrame(dst []byte, number uint64, record []byte) []byte {
	start := len(dst)
	dst = append(dst, frameMark...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = binary.LittleEndian.AppendUint64(dst, number)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[start:], record))
	return append(dst, record...)
}

// parseFrame returns the record of the frame at the start of data, its number, and the length of the whole frame. The
// length of an incomplete frame is greater than that of data, as far as it is known; the length of a damaged one is
// frameCorrupt. The record is a view into data.
func parseFrame(data []byte) (record []byte, number uint64, length int) {
	if n := min(len(data), len(frameMark)); string(data[:n]) != frameMark[:n] {
		return nil, 0, frameCorrupt
	}
	if len(data) < frameHeader {
		return nil, 0, frameHeader
	}
	n := binary.LittleEndian.Uint32(data[lengthAt:])
	if n > MaxRecord {
		return nil, 0, frameCorrupt
	}
	length = frameHeader + int(n)
	if len(data) < length {
		return nil, 0, length
	}
	record = data[frameHeader:length:length]
	if checksum(data[:checksumAt], record) != binary.LittleEndian.Uint32(data[checksumAt:]) {
		return nil, 0, frameCorrupt
	}
	return record, binary.LittleEndian.Uint64(data[numberAt:]), length
}

// scan returns the number and the total length of the whole frames at the start of data, numbered from first on. lost
// is the number of unreadable records behind them, when one is damaged and others follow; 0 when only an incomplete
// frame follows.
func scan(data []byte, first uint64) (whole, length, lost int) {
	for rest := data; ; rest = data[length:] {
		_, number, n := parseFrame(rest)
		if n == frameCorrupt || n > len(rest) || number != first+uint64(whole) {
			break
		}
		whole, length = whole+1, length+n
	}
	rest := data[length:]
	most := len(rest) / frameHeader // upper bound of the frames in rest
	for {
		at := bytes.Index(rest, []byte(frameMark))
		if at < 0 {
			return whole, length, lost
		}
		_, number, n := parseFrame(rest[at:])
		if n == frameCorrupt || n > len(rest[at:]) {
			rest = rest[at+1:]
			continue
		}
		if behind := number - first - uint64(whole) + 1; behind > uint64(lost) && behind <= uint64(most) {
			lost = int(behind)
		}
		rest = rest[at+n:]
	}
}
