package spool

import (
	"encoding/binary"
	"fmt"
)

// ledger is the file with the number below which all records are finished. It has two slots, which are written in
// turn. Each is in a disk block of its own, so that an incomplete write leaves the other slot intact. Both are
// written when the file is created: later writes need no free space.
type ledger struct {
	file file // nil: not open
	turn int64
}

const (
	ledgerName = "ledger"
	ledgerMark = "KSL1"
	ledgerSlot = 4096
	ledgerSize = 2 * ledgerSlot
	entrySize  = len(ledgerMark) + 8 + 4
)

func ledgerEntry(done uint64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte(ledgerMark), done)
	return binary.LittleEndian.AppendUint32(b, checksum(b, nil))
}

// open returns the number in the ledger: 0 when the ledger is missing or unreadable.
func (l *ledger) open(fs fileSystem) (done uint64, err error) {
	f, size, err := fs.open(ledgerName)
	if err != nil {
		return 0, err
	}
	var data [ledgerSize]byte
	n, err := f.ReadAt(data[:min(size, ledgerSize)], 0)
	if n < int(min(size, ledgerSize)) {
		_ = f.Close()
		return 0, err
	}
	valid := false
	for turn := range int64(2) {
		entry := data[turn*ledgerSlot:][:entrySize]
		if p := binary.LittleEndian.Uint64(entry[len(ledgerMark):]); string(entry) == string(ledgerEntry(p)) && p >= done {
			done, l.turn, valid = p, 1-turn, true
		}
	}
	l.file = f
	if size >= ledgerSize && valid {
		return done, nil
	}
	whole := make([]byte, ledgerSize)
	copy(whole, ledgerEntry(done))
	copy(whole[ledgerSlot:], ledgerEntry(done))
	if _, err := f.WriteAt(whole, 0); err != nil {
		l.close()
		return 0, err
	}
	if err := f.Sync(); err != nil {
		l.close()
		return 0, err
	}
	return done, fs.sync()
}

// write records durably that all records below done are finished.
func (l *ledger) write(fs fileSystem, done uint64) error {
	if l.file == nil {
		f, _, err := fs.open(ledgerName)
		if err != nil {
			return err
		}
		l.file = f
	}
	_, err := l.file.WriteAt(ledgerEntry(done), l.turn*ledgerSlot)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.close() // a second sync of this descriptor could report success wrongly
		return fmt.Errorf("writing the ledger: %w", err)
	}
	l.turn = 1 - l.turn
	return nil
}

func (l *ledger) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
