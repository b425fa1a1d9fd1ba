package bus

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

const (
	// linesPerSecond is how many lines of a kind a subscription logs in a second.
	linesPerSecond = 10
	// mostStacks bounds how many panics are told apart.
	mostStacks = 1000
)

// logLimiter bounds the lines of one kind that a subscription logs about records that failed, so that a stream of bad
// records does not become a stream of log lines. It counts the lines that it leaves out, and tell logs their number.
// The first panic of each stack is always logged.
type logLimiter struct {
	log   *slog.Logger
	level slog.Level
	kind  string // what the lines are about, in the plural

	mu      sync.Mutex
	began   time.Time // when the present second did
	lines   int       // since then
	omitted int       // lines left out since the last call of tell
	seed    maphash.Seed
	stacks  map[uint64]bool // of panics that were logged
}

// limiters are those of a subscription.
type limiters struct {
	attempts, postponed, rejected, deadLetters, skipped *logLimiter
}

func newLimiters(log *slog.Logger) limiters {
	return limiters{
		attempts:    newLogLimiter(log, slog.LevelDebug, "failed calls of the handler"),
		postponed:   newLogLimiter(log, slog.LevelDebug, "records that wait in retry streams"),
		rejected:    newLogLimiter(log, slog.LevelWarn, "rejected records"),
		deadLetters: newLogLimiter(log, slog.LevelWarn, "dead letters"),
		skipped:     newLogLimiter(log, slog.LevelWarn, "records of other groups"),
	}
}

// logOmitted logs how many lines were left out. It is called every second, and when no line comes any more.
func (l *limiters) logOmitted() {
	for _, kind := range []*logLimiter{l.attempts, l.postponed, l.rejected, l.deadLetters, l.skipped} {
		kind.logOmitted()
	}
}

func newLogLimiter(log *slog.Logger, level slog.Level, kind string) *logLimiter {
	return &logLimiter{log: log, level: level, kind: kind, seed: maphash.MakeSeed(), stacks: make(map[uint64]bool)}
}

// line logs a line about a record, and why it failed, unless there were too many in this second. A panic's has its
// stack.
func (l *logLimiter) line(text string, r *Record, err error, attributes ...any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, l.level) || !l.admit(err) {
		return
	}
	attributes = append([]any{"record", where(r)}, attributes...)
	if err != nil {
		attributes = append(append(attributes, "error", brief(err)), stackOf(err)...)
	}
	l.log.Log(ctx, l.level, text, attributes...)
}

func (l *logLimiter) admit(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.began) >= time.Second {
		l.began, l.lines = now, 0
	}
	if unseen := l.isNewStack(err); l.lines < linesPerSecond || unseen {
		l.lines++
		return true
	}
	l.omitted++
	return false
}

// isNewStack reports whether err is a panic whose stack has not been logged yet, and remembers the stack.
func (l *logLimiter) isNewStack(err error) (unseen bool) {
	p, ok := errors.AsType[*PanicError](err)
	if !ok || len(l.stacks) >= mostStacks {
		return false
	}
	var h maphash.Hash
	h.SetSeed(l.seed)
	for line := range bytes.Lines(p.Stack) {
		// The other lines have the arguments of functions, which differ from call to call.
		if frame, _, ok := bytes.Cut(line, []byte(" +0x")); ok && bytes.HasPrefix(line, []byte("\t")) {
			_, _ = h.Write(frame)
		}
	}
	sum := h.Sum64()
	unseen = !l.stacks[sum]
	l.stacks[sum] = true
	return unseen
}

// logOmitted logs how many lines were left out since it was called last.
func (l *logLimiter) logOmitted() {
	l.mu.Lock()
	omitted := l.omitted
	l.omitted = 0
	l.mu.Unlock()
	if omitted > 0 {
		l.log.Log(context.Background(), l.level, "bus: more lines of a kind than are logged",
			"kind", l.kind, "omitted", omitted)
	}
}
