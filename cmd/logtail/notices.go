package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// notices is a slog.Handler that prints the messages of the packages below as lines for people. It reports an outage
// of brokers once, however many parts of the program see it, and its end.
type notices struct {
	o     *options
	attrs []slog.Attr
	state *outage
}

// outage is the reported state of unreachable brokers.
type outage struct {
	mu       sync.Mutex
	reported bool
	ended    time.Time // end of the last outage
}

// echo is how long after an outage a late failure may still be reported: that of a request that was waiting.
const echo = 3 * time.Second

func newNotices(o *options) notices { return notices{o: o, state: new(outage)} }

// Enabled implements slog.Handler.
func (n notices) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelError || l >= slog.LevelInfo && !n.o.quiet
}

// WithAttrs implements slog.Handler.
func (n notices) WithAttrs(attrs []slog.Attr) slog.Handler {
	n.attrs = slices.Concat(n.attrs, attrs)
	return n
}

// WithGroup implements slog.Handler. The packages below use no groups.
func (n notices) WithGroup(string) slog.Handler { return n }

// Handle implements slog.Handler.
func (n notices) Handle(_ context.Context, r slog.Record) error {
	_, text, _ := strings.Cut(r.Message, ": ")
	switch {
	case strings.Contains(text, "does not answer"), strings.Contains(text, "cannot be looked up"),
		strings.Contains(text, "try again until"), strings.Contains(text, "where partitions begin"):
		if !n.state.start() {
			return nil
		}
		if strings.Contains(text, "try again until") {
			text = "Kafka does not answer; trying again"
		}
	case strings.Contains(text, "answers again"):
		if !n.state.end() {
			return nil
		}
	case r.Level < slog.LevelWarn && !strings.Contains(text, "again") && !strings.HasPrefix(r.Message, "tail: "):
		return nil
	}
	var topic, partition, cause string
	var rest []string
	each := func(a slog.Attr) bool {
		switch a.Key {
		case "topic":
			topic = strings.TrimPrefix(a.Value.String(), n.o.prefix)
		case "partition":
			partition = "/" + a.Value.String()
		case "error":
			cause = ": " + a.Value.String()
		case "attempts", "at":
		default:
			rest = append(rest, a.Key+" "+a.Value.String())
		}
		return true
	}
	for _, a := range n.attrs {
		each(a)
	}
	r.Attrs(each)
	line := text
	if topic != "" {
		line = topic + partition + ": " + line
	}
	if len(rest) > 0 {
		line += " (" + strings.Join(rest, ", ") + ")"
	}
	_, err := fmt.Fprintf(logtext.Writer{W: n.o.err}, "logtail: %s%s\n", line, cause)
	return err
}

// start marks the brokers as unreachable, and returns whether to report that.
func (s *outage) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reported || time.Since(s.ended) < echo {
		return false
	}
	s.reported = true
	return true
}

// end marks the brokers as reachable, and returns whether to report that.
func (s *outage) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reported {
		return false
	}
	s.reported, s.ended = false, time.Now()
	return true
}
