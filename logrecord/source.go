package logrecord

import (
	"log/slog"
	"runtime"
	"strconv"
	"strings"
)

// source returns the JSON of the place of a log call. There are only so many in a program: each is made once.
func (s *shared) source(pc uintptr) []byte {
	if text, ok := s.sources.Load(pc); ok {
		return text.([]byte)
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	at := slog.Source{Function: f.Function, File: f.File, Line: f.Line}
	text := append([]byte(nil), `{"function":`...)
	text = appendString(text, at.Function)
	text = appendString(append(text, `,"file":`...), at.File)
	text = strconv.AppendInt(append(text, `,"line":`...), int64(at.Line), 10)
	text = append(text, '}')
	s.sources.Store(pc, text)
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
