package main

import (
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/browsertest"
)

var pictures = flag.Bool("pictures", false, "write the pictures of the documentation: go test ./cmd/logtail -run "+
	"TestPictures -pictures")

// TestPictures takes the pictures of the documentation: what logtail prints on a terminal, and its page.
func TestPictures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if *pictures {
		dir = filepath.Join("..", "..", "docs")
	}
	b := setup(t)
	b.publishSample()
	browser := browsertest.New(t)

	stdout, stderr, code := b.run("--utc", "--color", "always", "-o", "pretty", "--no-follow", "--time-format",
		"short", "logs.*")
	if code != exitOK {
		t.Fatalf("code %d: %s", code, stderr)
	}
	terminal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><style>body { margin: 0; background: #16181d; color: #d7dae0 }
pre { margin: 0; padding: 14px 18px; font: 13px/1.5 "DejaVu Sans Mono", monospace;
  white-space: pre-wrap }</style><pre>%s%s</pre>`,
			html.EscapeString("$ logtail 'logs.*'\n"), htmlOf(stdout))
	}))
	t.Cleanup(terminal.Close)
	browser.Open(terminal.URL, 1240, 320).Screenshot(filepath.Join(dir, "logtail.png"))

	s := b.serve(nil, "logs.*")
	page := browser.Open(s.url, 1500, 560)
	page.Until(shownRows + ".length === 9")
	page.Eval(`[...document.querySelectorAll("#rows li")].find(e => e.textContent.includes("payment failed")).click()`,
		nil)
	page.Until(`document.querySelector("#whole-trace")`)
	page.Click("#whole-trace")
	page.Until(`document.querySelector("#detail").textContent.includes("of this one: 3")`)
	page.Screenshot(filepath.Join(dir, "logtail-page.png"))
	page.NoProblems()
}

// publishSample writes what a small shop may log.
func (b *bench) publishSample() {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	at := time.Date(2026, 11, 23, 17, 14, 8, 0, time.UTC)
	for i, record := range []struct{ stream, severity, fields string }{
		{"logs.shop", "INFO", `"message":"listening","address":":8080"`},
		{"logs.mail", "INFO", `"message":"queue opened","waiting":0`},
		{"logs.shop", "DEBUG", `"message":"cart loaded","user":"ada","items":3,"took":1200000`},
		{"logs.shop", "INFO", `"message":"order placed","order":{"id":4711,"total":"39.90 EUR"},"trace_id":"` + trace + `"`},
		{"logs.pay", "WARNING", `"message":"slow answer of the bank","took":2417000000,"attempt":2,"trace_id":"` +
			trace + `"`},
		{"logs.shop", "ERROR", `"message":"payment failed","order":{"id":4711},"status":502,"exception":"*net.OpError",` +
			`"stack":"dial tcp 10.0.0.7:443: connection refused\n\tshop/pay.(*Client).Charge\n\t\tpay/client.go:88\n` +
			`\tshop.(*Server).checkout\n\t\tserver.go:142","trace_id":"` + trace + `"`},
		{"logs.mail", "INFO", `"message":"mail sent","to":"ada@example.org","template":"payment-failed"`},
		{"logs.shop", "INFO", `"message":"cart kept","user":"ada","days":7`},
		{"logs.pay", "CRITICAL", `"message":"bank is away since 3 calls","breaker":"open"`},
	} {
		t := at.Add(time.Duration(i) * 137 * time.Millisecond)
		service := strings.TrimPrefix(record.stream, "logs.")
		b.publish(record.stream, fmt.Sprintf(`{"schema":"LogRecord:1","data":{"timestamp":%q,"severity":%q,%s,"service":%q}}`,
			t.Format(time.RFC3339Nano), record.severity, record.fields, service), t)
	}
}

// htmlOf makes HTML of text with the few ANSI sequences that logtail writes.
func htmlOf(text string) string {
	styles := map[string]string{"1": "font-weight: bold", "2": "opacity: .6", "31": "color: #ff7b72",
		"32": "color: #7ee787",
		"33": "color: #f0b450", "34": "color: #79c0ff", "35": "color: #d2a8ff", "36": "color: #76e3ea",
		"92": "color: #a5f0b5",
		"94": "color: #a5d6ff", "95": "color: #e2c5ff", "96": "color: #b3f0f5"}
	var b strings.Builder
	open := 0
	for i, part := range strings.Split(text, "\x1b[") {
		if i == 0 {
			b.WriteString(html.EscapeString(part))
			continue
		}
		codes, rest, _ := strings.Cut(part, "m")
		if codes == "0" {
			b.WriteString(strings.Repeat("</span>", open))
			open = 0
		} else {
			b.WriteString(`<span style="`)
			for code := range strings.SplitSeq(codes, ";") {
				b.WriteString(styles[code] + ";")
			}
			b.WriteString(`">`)
			open++
		}
		b.WriteString(html.EscapeString(rest))
	}
	return b.String()
}
