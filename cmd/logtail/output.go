package main

import (
	"io"
	"sync"
	"time"
)

const (
	outputFull  = 64 << 10              // bytes that are written without waiting for more
	outputDelay = 50 * time.Millisecond // that a record waits for others at most
)

// output gathers records, so that many go out in one write and a single one soon. Its methods may be called concurrently.
type output struct {
	mu     sync.Mutex
	w      io.Writer
	buf    []byte
	timer  *time.Timer // runs while buf holds something
	err    error       // of the first write that failed; nothing is written after it
	failed func(error) // called with err, once
}

func newOutput(w io.Writer, failed func(error)) *output {
	o := &output{w: w, failed: failed}
	o.timer = time.AfterFunc(time.Hour, func() { _ = o.flush() })
	o.timer.Stop()
	return o
}

// print takes a record. It blocks while the reader is slow, and returns the error of any write so far.
func (o *output) print(p printer, e *entry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == 0 {
		o.timer.Reset(outputDelay)
	}
	o.buf = p.append(o.buf, e)
	if len(o.buf) >= outputFull {
		o.write()
	}
	return o.err
}

// flush writes what is gathered.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write()
	return o.err
}

// write needs the lock.
func (o *output) write() {
	o.timer.Stop()
	if o.err == nil && len(o.buf) > 0 {
		if _, o.err = o.w.Write(o.buf); o.err != nil {
			o.failed(o.err)
		}
	}
	o.buf = o.buf[:0]
	if cap(o.buf) > 4*outputFull { // one huge record need not be remembered
		o.buf = nil
	}
}
