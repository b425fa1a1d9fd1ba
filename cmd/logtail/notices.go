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

// notices writes what the rooms below have to say as lines for people: what happens to brokers and partitions, and
// that it is over. An outage is one line, whoever notices it.
type notices struct {
	o     *options
	attrs []slog.Attr
	state *outage
}

// outage is what has been said about brokers that do not answer.
type outage struct {
	mu   sync.Mutex
	told bool
	over time.Time // when the last one was over
}

// echo is how long after an outage somebody may still notice it: an answer that was waited for meanwhile.
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

// WithGroup implements slog.Handler. Nothing below uses groups.
func (n notices) WithGroup(string) slog.Handler { return n }

// Handle implements slog.Handler.
func (n notices) Handle(_ context.Context, r slog.Record) error {
	_, text, _ := strings.Cut(r.Message, ": ")
	switch {
	case strings.Contains(text, "does not answer"), strings.Contains(text, "cannot be looked up"),
		strings.Contains(text, "try again until"), strings.Contains(text, "where partitions begin"):
		if !n.state.begin() {
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

// begin notes that brokers do not answer, and returns whether that is to be said.
func (s *outage) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told || time.Since(s.over) < echo {
		return false
	}
	s.told = true
	return true
}

// end notes that brokers answer again, and returns whether that is to be said.
func (s *outage) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told {
		return false
	}
	s.told, s.over = false, time.Now()
	return true
}
