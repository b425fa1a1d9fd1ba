package slogkafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

type userLog struct {
	logrecord.Model
	User string `json:"user"`
}

type teamLog struct {
	logrecord.Model
	Team string `json:"team"`
}

func TestText(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 11, 23, 16, 39, 52, 245858001, time.Local)
	for _, test := range []struct {
		name string
		time time.Time
		args []any
		opts []RecordOption
		want string
	}{
		{"nothing", when, nil, nil, "16:39:52.245 WARNING   hello\n"},
		{"no time", time.Time{}, nil, nil, "-            WARNING   hello\n"},
		{"a logger", when, nil, []RecordOption{Logger("app")}, "16:39:52.245 WARNING   hello  logger=app\n"},
		{
			"all models and attributes", when, []any{logrecord.Attr(userLog{User: "ada"}), "a", 1, "b", "x y",
				logrecord.Attr(teamLog{Team: "red"}), "c", ""}, nil,
			"16:39:52.245 WARNING   hello  user=ada a=1 b=\"x y\" team=red c=\"\"\n",
		},
		{"groups", when, []any{slog.Group("g", "a", 1, slog.Group("h", "b", []int{1, 2}))}, nil,
			"16:39:52.245 WARNING   hello  g.a=1 g.h.b=[1,2]\n"},
		{"an empty object", when, []any{"m", map[string]int{}}, nil, "16:39:52.245 WARNING   hello  m={}\n"},
		{"an error", when, []any{"err", errors.New("boom")}, nil, "16:39:52.245 WARNING   hello  err=boom " +
			"exception=*errors.errorString\n"},
		{
			"an error with its trace", when, []any{"err", traced{}}, nil,
			"16:39:52.245 WARNING   hello  err=short exception=slogkafka.traced\n    stack | short\n          |     " +
				"at\\x1b[0m x\n",
		},
		{
			"control characters", when, []any{"a", "\x1b[31m\r\n\u009b\u202e\u200b\x7f", "k\n", 1}, nil,
			`16:39:52.245 WARNING   hello  a="\x1b[31m\r\n\u009b\u202e\u200b\x7f" "k\n"=1` + "\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			h := NewStreamHandler(&out, Shared(test.opts...), Text())
			r := slog.NewRecord(test.time, slog.LevelWarn, "hello", 0)
			r.Add(test.args...)
			if err := h.Handle(context.Background(), r); err != nil || out.String() != test.want {
				t.Errorf("%v, want:\n%sgot:\n%s", err, test.want, out.String())
			}
		})
	}
}

type traced struct{}

func (traced) Error() string              { return "short" }
func (traced) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "short\n\tat\x1b[0m x\n") }

func TestTextSource(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(NewStreamHandler(&out, Text(), AddSource(), Trace(slog.LevelError))).Error("a\nb")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], `a\nb`) || !strings.Contains(lines[0], "stream_test.go:") ||
		!strings.HasPrefix(lines[1], "    trace | github.com/kafkaesk/kafkaesk/slogkafka.TestTextSource") {
		t.Errorf("the lines are:\n%s", out.String())
	}
}

// writes counts calls.
type writes struct {
	calls []string
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	w.calls = append(w.calls, string(p))
	return len(p), w.err
}

func TestStreamWritesLines(t *testing.T) {
	t.Parallel()
	var w writes // not safe for concurrent use
	logger := slog.New(NewStreamHandler(&w, Level(slog.LevelWarn)))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			logger := logger.With("i", i)
			for range 20 {
				logger.Warn("hello\n")
				logger.Info("not logged")
			}
		})
	}
	wg.Wait()
	if len(w.calls) != 160 {
		t.Errorf("%d calls of Write", len(w.calls))
	}
	for _, line := range w.calls {
		if r, err := logrecord.Decode([]byte(line)); err != nil || r.Schema != "" || strings.Count(line, "\n") != 1 {
			t.Errorf("%v: %q", err, line)
		}
	}
	w.err = io.ErrClosedPipe
	if err := logger.Handler().Handle(context.Background(), slog.Record{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// What is about the queue and Kafka cannot be given to a stream handler: such a call does not compile.
func TestAStreamHandlerTakesNoKafkaOption(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]Option{
		"QueueSize": QueueSize(1, 0), "Linger": Linger(0), "Overflow": Overflow(DropNewest),
		"OverflowFrom": OverflowFrom(slog.LevelError, DropOldest), "SpoolSync": SpoolSync(0),
		"FlushOn": FlushOn(slog.LevelError, time.Second), "WhenConfigured": WhenConfigured(),
		"Retention": Retention(time.Hour), "Partitions": Partitions(1), "Fallback": Fallback(slog.DiscardHandler),
		"SchemaID": SchemaID("Log"), "Key": Key(nil), "Stream": Stream(nil), "StreamOf": StreamOf[struct{}]("s"),
		"OnInvalid": OnInvalid(nil),
	} {
		if _, ok := opt.(StreamOption); ok {
			t.Errorf("%s is an option of stream handlers", name)
		}
	}
}
