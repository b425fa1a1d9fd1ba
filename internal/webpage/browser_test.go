package webpage_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/browsertest"
	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

// Each of them is stopped by the browser because of the headers, although the page itself asks for it.
func TestAHostilePageCanDoNothing(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	webpage.Assets(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, `<!doctype html><title>quiet</title><p id=p>text</p><script>document.title = "inline"</script>
<img src=x onerror="document.title='handler'"><script type=module src=/own.js></script>`)
	})
	mux.Handle("GET /own.js", webpage.Asset("own.js", []byte(`
import { make, visible } from "/webpage.js";
try { document.querySelector("#p").innerHTML = "<b>markup</b>"; } catch { document.body.dataset.stopped = "true"; }
document.body.append(make("p", "shown", "<img src=x onerror=\"document.title='made'\"> a\u202eb \u0007"));
document.body.dataset.done = visible("\ud800 \u{e0041} plain \u00fc \ud83d\ude00");
`)))
	server := httptest.NewServer(webpage.Protect(mux, webpage.Policy{}))
	t.Cleanup(server.Close)
	page := browsertest.New(t).Open(server.URL, 800, 600)
	page.Until("document.body.dataset.done")
	var seen struct{ Title, Stopped, Done, Shown string }
	page.Eval(`({title: document.title, stopped: document.body.dataset.stopped, done: document.body.dataset.done,
		shown: document.querySelector(".shown").textContent})`, &seen)
	if seen.Title != "quiet" || seen.Stopped != "true" || seen.Done != `\u{d800} \u{e0041} plain ü 😀` ||
		seen.Shown != `<img src=x onerror="document.title='made'"> a\u{202e}b \u{7}` {
		t.Errorf("the page has %+v", seen)
	}
	if problems := strings.Join(page.Problems(), "\n"); !strings.Contains(problems, "Content Security Policy") {
		t.Errorf("the browser says nothing of its policy: %s", problems)
	}
}
