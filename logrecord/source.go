package logrecord

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// place is the text of one log call's source.
type place struct {
	pc   uintptr
	text []byte
}

// places are the texts that have been made. A program has only so many places of log calls.
type places struct {
	recent [256]atomic.Pointer[place] // by the last bits of pc
	all    sync.Map                   // uintptr to *place
}

// sourceAt returns the field source of a log call, with its key and its comma.
func (s *shared) sourceAt(pc uintptr) *place {
	recent := &s.places.recent[byte(pc^pc>>8)]
	if p := recent.Load(); p != nil && p.pc == pc {
		return p
	}
	p, ok := s.places.all.Load(pc)
	if !ok {
		p, _ = s.places.all.LoadOrStore(pc, &place{pc, s.sourceOf(pc)})
	}
	recent.Store(p.(*place))
	return p.(*place)
}

func (s *shared) sourceOf(pc uintptr) []byte {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	names, object := s.names.source, s.names.source[0] == ""
	var text []byte
	if object {
		names = [3]string{"function", "file", "line"}
		text = append(append(text, s.names.keys[ownSource]...), '{')
	}
	text = append(appendString(append(appendString(text, names[0]), ':'), f.Function), ',')
	text = append(appendString(append(appendString(text, names[1]), ':'), f.File), ',')
	text = strconv.AppendInt(append(appendString(text, names[2]), ':'), int64(f.Line), 10)
	if object {
		text = append(text, '}')
	}
	text = append(text, ',')
	return text
}

// callStack returns the stack of the log call at pc, as the runtime prints stacks; "" when the call is not on the stack
// of this goroutine.
func callStack(pc uintptr) string {
	var pcs [64]uintptr
	calls := pcs[:runtime.Callers(2, pcs[:])]
	for len(calls) > 0 && calls[0] != pc {
		calls = calls[1:]
	}
	if len(calls) == 0 {
		return ""
	}
	var b strings.Builder
	frames := runtime.CallersFrames(calls)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		b.WriteString(f.Function)
		b.WriteString("\n\t")
		b.WriteString(f.File)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(f.Line))
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
