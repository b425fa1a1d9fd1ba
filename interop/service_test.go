package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// Content is what the service of testdata/service.py calls Content, too.
type Content struct {
	Title string `json:"title"`
	N     int    `json:"n"`
}

// A service in Go and one in Python, made with kafkaesk from PyPI, on the same streams: each handles what both publish,
// as members of groups of their own.
func TestServicesInGoAndPython(t *testing.T) {
	t.Parallel()
	const records = 50
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	bus.MustSchema[Content](app, "Content", bus.Streams("content.go"))
	var mu sync.Mutex
	got := make(map[string]int) // ours, as JSON
	bus.MustSubscribe(app, "content.*", func(_ context.Context, m *bus.Message[Content]) error {
		mu.Lock()
		defer mu.Unlock()
		got[fmt.Sprintf("%s %s %d", m.Schema, m.Data.Title, m.Data.N)]++
		return nil
	}, bus.Group(prefix+"go"))
	for n := range records {
		if err := app.Publish(t.Context(), "content.go", Content{Title: "from Go ✓", N: n}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	python := run(t, "service.py", strings.Join(cluster.Servers(), ","), prefix, prefix+"python", fmt.Sprint(records))

	want := make(map[string]int)
	for n := range records {
		want[fmt.Sprintf("Content:1 from Go ✓ %d", n)] = 1
		want[fmt.Sprintf("Content:1 from Python %d", n)] = 1
	}
	eventually(t, 60*time.Second, "both services have handled all", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		theirs := python.contents(t)
		return len(got) == len(want) && len(theirs) == len(want), fmt.Sprintf("Go %d, Python %d of %d", len(got),
			len(theirs), len(want))
	})
	for what, n := range python.contents(t) {
		if n != want[what] {
			t.Errorf("Python handled %q %d times, want %d", what, n, want[what])
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := app.Close(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
	for what, n := range got {
		if n != want[what] {
			t.Errorf("Go handled %q %d times, want %d", what, n, want[what])
		}
	}
}

// contents returns what the service has handled.
func (p *program) contents(t *testing.T) map[string]int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	count := make(map[string]int)
	for _, l := range p.lines {
		var c Content
		if err := json.Unmarshal(l.Handled, &c); err != nil {
			t.Fatal(err)
		}
		count[fmt.Sprintf("%s %s %d", l.Schema, c.Title, c.N)]++
	}
	return count
}
