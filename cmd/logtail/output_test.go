package main

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// chunks remembers each write, and fails them all with err.
type chunks struct {
	mu  sync.Mutex
	all []string
	err error
}

func (c *chunks) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, string(p))
	return len(p), c.err
}

func (c *chunks) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func TestRecordsGoOutTogetherButSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w chunks
		o := newOutput(&w, func(err error) { t.Errorf("failed: %v", err) })
		e := open(at("value"))
		for range 3 {
			if err := o.print(rawPrinter{}, &e); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(w.written()) != 0 {
			t.Errorf("written at once: %q", w.written())
		}
		time.Sleep(outputDelay)
		synctest.Wait()
		if len(w.written()) != 1 || w.written()[0] != "value\nvalue\nvalue\n" {
			t.Errorf("after the delay: %q", w.written())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.written()) != 1 {
			t.Errorf("written with nothing to write: %q", w.written())
		}

		big := open(at(strings.Repeat("x", outputFull)))
		if err := o.print(rawPrinter{}, &big); err != nil || len(w.written()) != 2 {
			t.Errorf("%d writes, %v: much is not written at once", len(w.written()), err)
		}
		if err := o.print(rawPrinter{}, &e); err != nil {
			t.Fatal(err)
		}
		if err := o.flush(); err != nil || len(w.written()) != 3 || w.written()[2] != "value\n" {
			t.Errorf("flush: %d writes, %v", len(w.written()), err)
		}
	})
}

func TestFailedWriteIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		w := chunks{err: gone}
		var told atomic.Int32
		o := newOutput(&w, func(error) { told.Add(1) })
		e := open(at("value"))
		if err := o.print(rawPrinter{}, &e); err != nil {
			t.Fatal(err)
		}
		time.Sleep(outputDelay)
		synctest.Wait()
		if err := o.print(rawPrinter{}, &e); !errors.Is(err, gone) {
			t.Errorf("print: %v", err)
		}
		if err := o.flush(); !errors.Is(err, gone) {
			t.Errorf("flush: %v", err)
		}
		if told.Load() != 1 || len(w.written()) != 1 {
			t.Errorf("told %d times, %d writes", told.Load(), len(w.written()))
		}
	})
}
