package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/browsertest"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// under serves the handler below a prefix, as an application mounts it.
func under(t *testing.T, prefix string, h http.Handler) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections() // pages that are open
		server.Close()
	})
	return server.URL + prefix + "/"
}

// cellOf is the JavaScript of a cell's text.
func cellOf(section, key, label string) string {
	return fmt.Sprintf(`(document.querySelector('#%s tr[data-key=%q] td[data-label=%q]')?.textContent ?? "")`,
		section, key, label)
}

// The page shows the lag while a handler is blocked, and that it is gone after its release, without being loaded again.
func TestThePageShowsTheLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, b, group := w.app(), newBlocker(), w.group("g")
	bus.MustSchema[Content](app, "Content", bus.Streams("content"))
	bus.MustSubscribe(app, "content", b.handle, bus.Group(group))
	logs := slogkafka.NewHandler(app, "logs.app")
	slog.New(logs).Info("one")
	h := monitor.Handler(app)
	publish(t, app, "content", 5, time.Now().Add(-3*time.Minute))
	w.run(app)
	eventually(t, h, func(s series) bool { return s.sum(lag) == 5 })

	url := under(t, "/monitor", h)
	browser := browsertest.New(t)
	page := browser.Open(url, 1400, 900)
	page.Until(cellOf("groups", group, "Lag") + ` === "5"`)
	page.Until(cellOf("groups", group, "Oldest") + ` === "3m"`)
	page.Until(cellOf("groups", group, "State") + ` === "stable"`)
	page.Until(cellOf("groups", group, "Running") + ` === "1"`)
	page.Until(`document.querySelector("#partitions tbody tr")`)
	page.Until(`document.querySelector("#state").textContent === "ready"`)
	page.Until(cellOf("logs", "logs.app", "Delivered") + ` === "1"`)
	page.Until(cellOf("streams", "content", "Records") + ` === "5"`)
	page.Until(cellOf("schemas", "Content:1", "Streams") + ` === "content"`)
	page.Until(`document.querySelector("#groups polyline")`) // the trend
	page.Eval(`document.body.dataset.same = "yes"`, nil)

	close(b.release)
	page.Until(cellOf("groups", group, "Lag") + ` === "0"`)
	page.Until(cellOf("groups", group, "Oldest") + ` === "-"`)
	page.Until(`!document.querySelector("#partitions tbody tr")`)
	page.Until(`document.body.dataset.same === "yes"`)
	page.NoProblems()

	// A reader without JavaScript sees the same.
	plain := browser.Open("about:blank", 1400, 900)
	plain.WithoutScripts(url)
	if text := plain.Text(); !strings.Contains(text, group) || !strings.Contains(text, "stable") ||
		!strings.Contains(text, "Content:1") {
		t.Errorf("without scripts the page has\n%s", text)
	}
}

// A phone shows everything without scrolling sideways.
func TestThePageOnAPhone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, group := w.app(), w.group("a.group.with.quite.a.long.name.that.does.not.fit.into.a.line.of.a.phone")
	bus.MustSubscribe(app, "content", newBlocker().handle, bus.Group(group))
	h := monitor.Handler(app)
	publish(t, app, "content", 1, time.Now())
	w.run(app)
	eventually(t, h, func(s series) bool { return s.sum(lag) == 1 })
	page := browsertest.New(t).Open(under(t, "", h), 360, 740)
	page.Until(cellOf("groups", group, "Lag") + ` === "1"`)
	var width int
	page.Eval("document.documentElement.scrollWidth", &width)
	if width > 360 {
		t.Errorf("the page is %d pixels wide on a phone of 360", width)
	}
	page.NoProblems()
}

// What others write into Kafka is text: names of streams and groups, schemas, errors, and the names of members.
func TestHostileTextsDoNothing(t *testing.T) {
	t.Parallel()
	const hostile = "<img src=x onerror=\"document.title='hacked'\"></td><script>document.title='hacked'</script>" +
		"\u202e\"'`${1}"
	w := newWorld(t)
	app := w.app()
	group := w.prefix + hostile[:len(hostile)-3]
	bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error { return bus.Reject(errors.New(hostile)) },
		bus.Group(group))
	type Doc map[string]any
	bus.MustSchema[Doc](app, "Doc<b>", bus.Streams("docs"),
		bus.SchemaJSON([]byte(`{"type":"object","title":"<script>document.title='hacked'</script>"}`)))
	logs := slogkafka.NewHandler(app, hostile)
	slog.New(logs).Info("one")
	h := monitor.Handler(app)
	publish(t, app, "content", 1, time.Now())
	w.run(app)
	// A member of somebody else's making, with a name of its own.
	member, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.ClientID(hostile),
		kgo.ConsumerGroup(w.prefix+"h"), kgo.ConsumeTopics(w.prefix+"content"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	other := w.app()
	bus.MustSubscribe(other, "content", newBlocker().handle, bus.Group(w.prefix+"h"))

	page := browsertest.New(t).Open(under(t, "/m", h), 1400, 900)
	page.Until(`document.querySelector("#problems").textContent.includes("hacked")`)
	page.Until(`document.querySelector("#groups").textContent.includes("onerror")`)
	page.Until(`document.querySelector("#schemas").textContent.includes("Doc<b>:1")`)
	page.Until(`document.querySelector("#logs").textContent.includes("<script>")`)
	members := browsertest.New(t).Open(under(t, "/m", monitor.Handler(other)), 1400, 900)
	if err := other.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	members.Until(`document.querySelector("#members").textContent.includes("onerror")`)
	for _, p := range []*browsertest.Page{page, members} {
		var seen struct {
			Title   string
			Strange int
			Text    string
		}
		p.Eval(`({title: document.title, text: document.body.textContent,
			strange: document.querySelectorAll("img, iframe, script:not([src='page.js']), b").length})`, &seen)
		if strings.Contains(seen.Title, "hacked") || seen.Strange > 0 || strings.Contains(seen.Text, "\u202e") {
			t.Errorf("title %q, %d strange elements, bidi %v", seen.Title, seen.Strange, strings.Contains(seen.Text, "\u202e"))
		}
		p.NoProblems()
	}
}

// A page that is open tells when the program is gone.
func TestThePageTellsThatTheProgramIsGone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(monitor.Handler(bus.New(bus.Config{})))
	page := browsertest.New(t).Open(server.URL, 800, 600)
	page.Until(`document.querySelector("#problems").textContent.includes("not initialized")`)
	page.Until(`document.querySelector("#lost").hidden`)
	server.CloseClientConnections()
	server.Close()
	page.Until(`!document.querySelector("#lost").hidden`)
}
