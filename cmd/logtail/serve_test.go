package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/browsertest"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// served is a logtail that serves a page.
type served struct {
	url    string
	stderr *lockedBuffer
	stop   context.CancelFunc
	code   chan int
}

var servedURL = regexp.MustCompile(`http://[0-9.:]+/`)

// serve runs logtail serve on a free port until the test ends.
func (b *bench) serve(change func(*options), args ...string) *served {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	s := &served{stderr: new(lockedBuffer), stop: cancel, code: make(chan int, 1)}
	ended := make(chan struct{})
	o := newOptions(streams{io.Discard, s.stderr, b.env})
	if change != nil {
		change(o)
	}
	go func() {
		defer close(ended)
		s.code <- o.main(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))
	}()
	b.t.Cleanup(func() {
		cancel()
		<-ended
	})
	testkit.Eventually(b.t, func() bool { return servedURL.MatchString(s.stderr.String()) }, s.stderr.String)
	s.url = servedURL.FindString(s.stderr.String())
	return s
}

// answer asks the server for a path, and returns the status and the text.
func (s *served) answer(t *testing.T, path, host string) (int, string) {
	t.Helper()
	return testkit.Fetch(t, s.url+path, host)
}

const shownRows = `[...document.querySelectorAll("#rows li[data-place] .text")].map(e => e.textContent)`

func tracedValue(message, trace string, status int) string {
	return fmt.Sprintf(`{"schema":"LogRecord:1","data":{"message":%q,"severity":"ERROR","level":40,"trace_id":%q,`+
		`"status":%d,"order":{"id":9007199254740993},"timestamp":%q}}`, message, trace, status,
		time.Now().UTC().Format(time.RFC3339Nano))
}

func TestThePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	b.publish("logs.shop", logValue("begun", "INFO", 20), time.Now())
	b.publish("logs.shop", tracedValue("payment failed", trace, 502), time.Now())
	b.publish("logs.mail", tracedValue("no mail sent", trace, 200), time.Now())
	b.publish("other", tracedValue("of another stream", trace, 502), time.Now())
	s := b.serve(nil, "logs.*")
	page := browsertest.New(t).Open(s.url, 1400, 800)

	// What was there is shown, and what comes.
	page.Until(shownRows + ".length === 3")
	b.publish("logs.shop", logValue("goes on", "WARNING", 30), time.Now())
	page.Until(shownRows + `.includes("goes on")`)

	// A filter narrows them, also what was there already.
	page.Fill("#level", "error")
	page.Until(shownRows + ".length === 2")
	page.Fill("#field", "status>=500")
	page.Click("#apply")
	page.Until(shownRows + `.length === 1 && document.querySelector("#conditions").textContent.includes("status>=500")`)
	page.Eval(`document.querySelector("#conditions button").click()`, nil)
	page.Fill("#grep", "no mail|begun")
	page.Click("#apply")
	page.Until(shownRows + `.length === 1 && ` + shownRows + `[0].startsWith("no mail sent")`)
	page.Fill("#grep", "")
	page.Fill("#level", "")
	page.Until(shownRows + ".length === 4")
	page.Fill("#grep", "(")
	page.Click("#apply")
	page.Until(`document.querySelector("#status").textContent.includes("missing closing )")`)
	page.Fill("#grep", "")
	page.Click("#apply")
	page.Until(shownRows + ".length === 4")

	// While it is paused nothing moves.
	page.Click("#pause")
	b.publish("logs.shop", logValue("while paused", "INFO", 20), time.Now())
	page.Until(`document.querySelector("#status").textContent.includes("Rows that wait: 1")`)
	page.Until(shownRows + ".length === 4")
	page.Click("#pause")
	page.Until(shownRows + ".length === 5")

	// One record has all its fields, and its trace, over the streams of the page.
	page.Eval(`[...document.querySelectorAll("#rows li")].find(e => e.textContent.includes("payment failed")).click()`,
		nil)
	page.Until(`document.querySelector("#detail table")`)
	for _, want := range []string{"9007199254740993", trace, "_partition", "LogRecord:1", "status"} {
		page.Until(fmt.Sprintf("document.querySelector('#detail').textContent.includes(%q)", want))
	}
	page.Click("#whole-trace")
	page.Until(`document.querySelectorAll("#trace li").length === 2`)
	page.Until(`document.querySelector("#detail").textContent.includes("within an hour of this one: 2")`)

	// Its permalink shows it again.
	var link string
	page.Eval(`document.querySelector("#detail a").href`, &link)
	page.Go(link)
	page.Until(`document.querySelector("#detail").textContent.includes("payment failed")`)
	if place, _ := url.Parse(link); !regexp.MustCompile(`^logs\.shop/\d@\d+$`).MatchString(place.Query().Get("record")) {
		t.Errorf("the permalink is %s", link)
	}
	page.NoProblems()
	s.stop()
	if code := <-s.code; code != exitOK {
		t.Errorf("exit code %d; %s", code, s.stderr.String())
	}
}

// The flags are the page's first settings, and the address of a page is all its settings.
func TestFirstSettingsOfThePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", tracedValue("wanted", "1", 500), time.Now())
	b.publish("logs.a", tracedValue("not wanted", "1", 200), time.Now())
	b.publish("logs.a", logValue("info", "INFO", 20), time.Now())
	s := b.serve(nil, "logs.*", "-l", "error", "--field", "status>=500")
	browser := browsertest.New(t)
	page := browser.Open(s.url, 1000, 600)
	page.Until(shownRows + `.length === 1 && document.querySelector("#level").value === "error"`)
	page.Until(`location.search.includes("level=error") && location.search.includes("field=status%3E%3D500")`)
	page.NoProblems()
	page = browser.Open(s.url+"?level=info&stream=logs.a&grep=info", 1000, 600)
	page.Until(shownRows + `.length === 1 && document.querySelector("#stream").value === "logs.a"`)
	page.NoProblems()
}

// A page whose address has no host is for this machine only, as a worker's monitor is.
func TestThePageWithoutAHostIsOnLoopback(t *testing.T) {
	t.Parallel()
	s := setup(t).serve(nil, "--listen", ":0", "logs.*")
	if !strings.HasPrefix(s.url, "http://127.0.0.1:") {
		t.Errorf("the page is served on %s", s.url)
	}
}

// A page shows the streams of the command line, and no other, whatever it asks for.
func TestThePageShowsNoOtherStreams(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("a", "INFO", 20), time.Now())
	b.publish("logs.b", logValue("b", "INFO", 20), time.Now())
	b.publish("secret", logValue("secret", "INFO", 20), time.Now())
	s := b.serve(nil, "logs.*", "-x", "logs.b")
	for _, query := range []string{"", "stream=*", "stream=secret", "stream=logs.b", "stream=secret/0@0"} {
		_, text := s.answer(t, "api/rows?no-follow=true&"+query, "")
		if strings.Contains(text, `"stream":"secret"`) || strings.Contains(text, "similar names: logs.b") ||
			strings.Contains(text, `"stream":"logs.b"`) || !strings.Contains(text, "event: end") {
			t.Errorf("%s: got %s", query, text)
		}
	}
	for place, want := range map[string]int{"secret/0@0": 404, "logs.b/0@0": 404, "logs.a/0@77": 404, "logs.a/99@0": 404,
		"logs.a": 400} {
		if status, text := s.answer(t, "api/record?place="+place, ""); status != want || text == "" {
			t.Errorf("%s: status %d, want %d: %s", place, status, want, text)
		}
	}
	if status, _ := s.answer(t, "api/settings", "evil.example"); status != http.StatusForbidden {
		t.Errorf("a foreign host: status %d", status)
	}
}

// Records that try to be markup, scripts, other rows or invisible are texts.
func TestHostileRecordsDoNothingInThePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const attack = `</script><img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`
	for _, value := range []string{
		logValue(attack, attack, 40),
		fmt.Sprintf(`{"schema":%q,"data":{"message":%q,"__proto__":{"place":"x"},"constructor":1,%q:%q,"trace_id":%q,`+
			`"level":40}}`,
			attack, "a\u202eb\x1b[2J\r\nevent: row\n\ndata: {}", attack, attack, attack),
		"\xff\xfe not JSON " + attack, attack, strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		`{"schema":"A:1","data":{"message":"` + strings.Repeat("x", 900_000) + `"}}`,
		`{"schema":"A:1","data":{"message":"half \ud800"}}`,
	} {
		b.publish("logs.a", value, time.Now())
	}
	s := b.serve(nil, "logs.*")
	page := browsertest.New(t).Open(s.url, 1400, 800)
	page.Until(shownRows + ".length === 7")
	var places []string
	page.Eval(`[...document.querySelectorAll("#rows li")].map(e => e.dataset.place)`, &places)
	for _, place := range places {
		page.Eval(fmt.Sprintf(`document.querySelector('li[data-place="%s"]').click()`, place), nil)
		page.Until(fmt.Sprintf(`document.querySelector("#detail h2").textContent === %q && document.querySelector("#detail `+
			`table")`, place))
	}
	page.Eval(`document.querySelector("#whole-trace")?.click()`, nil)
	var seen struct {
		Title, Text string
		Bad         int
	}
	page.Eval(`({title: document.title, text: document.body.textContent, bad: document.querySelectorAll("img, iframe, `+
		`body script").length})`, &seen)
	if seen.Title != "logtail logs.*" || seen.Bad != 0 {
		t.Errorf("the page has the title %q and %d foreign elements", seen.Title, seen.Bad)
	}
	for _, r := range seen.Text {
		if r == '\u202e' || r == '\x1b' || r == '\ufffe' {
			t.Errorf("the page shows %q", r)
		}
	}
	page.NoProblems()
}

// A page that takes its rows too slowly is told how many it missed.
func TestThePageTellsWhatWasMissed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := make([]bus.Outgoing, 150)
	for i := range batch {
		batch[i].Value = []byte(logValue(fmt.Sprint(i), "INFO", 20))
	}
	if err := b.app.PublishBatch(t.Context(), "logs.a", batch); err != nil {
		t.Fatal(err)
	}
	// so many wait; the page begins with more, which come at once
	s := b.serve(func(o *options) { o.queueRows = 100 }, "logs.*")
	page := browsertest.New(t).Open(s.url, 800, 600)
	page.Until(shownRows + `.length === 100 && document.querySelector("#rows .gap").textContent.startsWith("50 rows ` +
		`missed")`)
	page.NoProblems()
}

// A page that has lost its connection goes on where it was, without a row twice.
func TestThePageGoesOnAfterALostConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		b.publish("logs.a", logValue(fmt.Sprint("before ", i), "INFO", 20), time.Now())
	}
	s := b.serve(nil, "logs.*")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0)})
	t.Cleanup(proxy.Close)
	page := browsertest.New(t).Open(proxy.URL, 800, 600)
	page.Until(shownRows + ".length === 3")
	proxy.CloseClientConnections()
	for i := range 2 {
		b.publish("logs.a", logValue(fmt.Sprint("after ", i), "INFO", 20), time.Now())
	}
	page.Until(shownRows + ".length === 5")
	b.publish("logs.a", logValue("last", "INFO", 20), time.Now())
	page.Until(shownRows + `.length === 6 && ` + shownRows + `[5] === "last"`)
	var shown []string
	page.Eval(shownRows, &shown)
	slices.Sort(shown)
	if len(slices.Compact(shown)) != 6 {
		t.Errorf("the page shows %q", shown)
	}
}

// A page that nobody looks at reads nothing, and has all that was missed when somebody does again.
func TestAHiddenPageReadsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("before", "INFO", 20), time.Now())
	s := b.serve(nil, "logs.*")
	page := browsertest.New(t).Open(s.url, 800, 600)
	page.Until(shownRows + ".length === 1")
	look := func(hidden bool) {
		page.Eval(fmt.Sprintf(`Object.defineProperty(document, "hidden", {value: %v, configurable: true});
			document.dispatchEvent(new Event("visibilitychange"))`, hidden), nil)
	}
	look(true)
	page.Until(`document.querySelector("#status").textContent.includes("Not connected")`)
	for i := range 3 {
		b.publish("logs.a", logValue(fmt.Sprint("meanwhile ", i), "INFO", 20), time.Now())
	}
	look(false)
	page.Until(shownRows + ".length === 4")
	b.publish("logs.a", logValue("after", "INFO", 20), time.Now())
	page.Until(shownRows + `.length === 5 && ` + shownRows + `[4] === "after"`)
	page.NoProblems()
}

// A broker that goes away and comes back is told, and waited for.
func TestThePageWaitsForABroker(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	b.publish("logs.a", logValue("before", "INFO", 20), time.Now())
	s := b.serve(nil, "logs.*")
	page := browsertest.New(t).Open(s.url, 800, 600)
	page.Until(shownRows + ".length === 1")
	b.cluster.Kill(0)
	page.Until(`document.querySelector("#status").textContent.includes("does not answer")`)
	b.cluster.Restart(0)
	b.publish("logs.a", logValue("after", "INFO", 20), time.Now())
	page.Until(shownRows + `[1] === "after" && document.querySelector("#status").textContent.includes("answers again")`)
	page.NoProblems()
}

// So many pages may read, and one more is told why it may not. A place that is free again is taken.
func TestOnlySoManyPagesRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.serve(nil, "logs.*")
	ends := make([]context.CancelFunc, mostViewers)
	for i := range ends {
		var ctx context.Context
		ctx, ends[i] = context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"api/rows", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
	}
	const refused = "the limit of 16"
	if _, text := s.answer(t, "api/rows", ""); !strings.Contains(text, "event: failed\ndata: "+refused) {
		t.Errorf("one too many got %s", text)
	}
	if status, text := s.answer(t, "api/record?place=logs.a/0@0", ""); status != http.StatusServiceUnavailable {
		t.Errorf("one record: status %d: %s", status, text)
	}
	ends[3]()
	testkit.Until(t, "a place is free again", func() bool {
		_, text := s.answer(t, "api/rows?no-follow=true", "")
		return !strings.Contains(text, refused)
	})
	for _, end := range ends {
		end()
	}
}
