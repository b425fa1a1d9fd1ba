package webpage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

// events reads a stream of events up to its end, and calls f with the name and the data of each.
func events(t *testing.T, url string, f func(name, data string)) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	var name string
	var data []string
	for lines.Scan() {
		if lines.Text() == "" && name != "" {
			f(name, strings.Join(data, "\n"))
			name, data = "", nil
		}
		if text, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			data = append(data, text)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// A viewer that takes nothing costs what its queue may hold, and hears how many events it has missed.
func TestASlowViewerIsToldWhatItMissed(t *testing.T) {
	t.Parallel()
	const rows, bound = 50_000, 100
	q := webpage.NewQueue(bound, 1<<20)
	full := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed := make(chan struct{})
		go func() { // while the viewer reads nothing yet
			defer close(closed)
			row := bytes.Repeat([]byte("x"), 1000)
			for range rows {
				q.Add("row", row)
			}
			close(full)
		}()
		<-full
		if err := q.Serve(r.Context(), w, closed); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	got, missed := 0, 0
	events(t, server.URL, func(name, data string) {
		switch name {
		case "row":
			got++
		case "missed":
			n, err := strconv.Atoi(data)
			if err != nil {
				t.Error(err)
			}
			missed += n
		}
	})
	if got != bound || got+missed != rows {
		t.Errorf("%d rows and %d missed, want %d and %d", got, missed, bound, rows-bound)
	}
}

// A row of several lines, or with the ends of lines of other systems, is one event, and none can make another one.
func TestNoRowCanMakeAnEvent(t *testing.T) {
	t.Parallel()
	q := webpage.NewQueue(10, 10)
	q.Add("row", []byte("larger than the bound, and the only one"))
	q.Add("row", []byte("a\nevent: x\r\n\ndata: b\rc"))
	closed := make(chan struct{})
	close(closed)
	w := httptest.NewRecorder()
	if err := q.Serve(t.Context(), deadliner{w}, closed); err != nil {
		t.Fatal(err)
	}
	want := ": events\n\nevent: missed\ndata: 1\n\nevent: row\ndata: a\ndata: event: x\ndata: \ndata: data: bc\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ended := errors.New("the program ends")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	if err := webpage.NewQueue(1, 1).Serve(ctx, deadliner{httptest.NewRecorder()}, nil); !errors.Is(err, ended) {
		t.Errorf("error %v, want %v", err, ended)
	}
}

// deadliner is a recorder that takes the time limits of writes.
type deadliner struct{ *httptest.ResponseRecorder }

func (deadliner) SetWriteDeadline(time.Time) error { return nil }
