package contract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// longestLine is more than any broker accepts for a record.
const longestLine = 64 << 20

// line is a line of standard input, without its line end.
type line struct {
	number int // from 1; 0: reading has failed
	text   []byte
	err    error
}

// readLines reads lines that are not blank, until ctx ends. A Read of standard input cannot be interrupted: after ctx
// has ended the goroutine ends with the process.
func readLines(ctx context.Context, in io.Reader) <-chan line {
	lines := make(chan line, 64)
	go func() {
		defer close(lines)
		r := bufio.NewReaderSize(in, 64<<10)
		for number := 1; ; number++ {
			text, err := readLine(r)
			l := line{number: number, text: bytes.TrimSpace(text)}
			switch {
			case errors.Is(err, errLongLine):
				l.err = err
			case err != nil && !errors.Is(err, io.EOF):
				l = line{err: err}
			}
			if len(l.text) > 0 || l.err != nil {
				select {
				case lines <- l:
				case <-ctx.Done():
					return
				}
			}
			if err != nil && !errors.Is(err, errLongLine) {
				return
			}
		}
	}()
	return lines
}

var errLongLine = fmt.Errorf("it is longer than %d MiB", longestLine>>20)

// readLine returns a line in memory of its own. It reads a line that is too long to its end, and returns an error.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if !long {
			text = append(text, part...)
		}
		if len(text) > longestLine {
			text, long = nil, true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return text, err
		case long:
			return nil, errLongLine
		default:
			return text, nil
		}
	}
}
