package logrecord

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// callSite is the text of one log call's source.
type callSite struct {
	pc   uintptr
	text []byte
}

// callSites caches these texts. A program has a limited number of log calls.
type callSites struct {
	recent [256]atomic.Pointer[callSite] // indexed by the last bits of pc
	all    sync.Map                      // uintptr to *callSite
}

// sourceAt returns the field source of a log call, with its key and its comma.
func (s *shared) sourceAt(pc uintptr) *callSite {
	recent := &s.callSites.recent[byte(pc^pc>>8)]
	if p := recent.Load(); p != nil && p.pc == pc {
		return p
	}
	p, ok := s.callSites.all.Load(pc)
	if !ok {
		p, _ = s.callSites.all.LoadOrStore(pc, &callSite{pc, s.sourceOf(pc)})
	}
	recent.Store(p.(*callSite))
	return p.(*callSite)
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

// callStack returns the stack of the log call at pc, in the runtime's format; "" when the call is not on this
// goroutine's stack.
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
