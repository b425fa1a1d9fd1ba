package monitor

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

var (
	//go:embed page/index.html
	pageHTML string
	//go:embed page/page.js
	pageScript []byte
	//go:embed page/page.css
	pageStyle []byte
)

const (
	// viewEvery is how often an open page is brought up to date.
	viewEvery = 2 * time.Second
	// firstViewTimeout is how long a page waits for what brokers have to be asked.
	firstViewTimeout = 1500 * time.Millisecond
	// maxViewers bounds the pages that are kept up to date at one time.
	maxViewers = 64
	// maxViewBytes bounds what waits for a viewer that takes nothing: one view.
	maxViewBytes = 4 << 20
)

// page answers the page and its events.
type page struct {
	monitor  *monitor
	template *template.Template
	viewers  chan struct{} // has a token for each open page

	mu       sync.Mutex
	last     []byte // the view as JSON, which all viewers share
	viewedAt time.Time
}

func newPage(m *monitor) *page {
	return &page{
		monitor: m, template: template.Must(template.New("page").Parse(pageHTML)), viewers: make(chan struct{}, maxViewers),
	}
}

func (p *page) add(mux *http.ServeMux) {
	webpage.Assets(mux)
	mux.Handle("GET /page.js", webpage.Asset("page.js", pageScript))
	mux.Handle("GET /page.css", webpage.Asset("page.css", pageStyle))
	mux.HandleFunc("GET /{$}", p.html)
	mux.HandleFunc("GET /events", p.events)
}

// html answers with the page as it is now, whole without any script.
func (p *page) html(w http.ResponseWriter, r *http.Request) {
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		p.monitor.cluster.refresh(r.Context())
	}()
	// The answer has its length, so that the browser shows it while this waits for the brokers.
	defer func() { <-asked }()
	limit := time.NewTimer(firstViewTimeout)
	defer limit.Stop()
	select {
	case <-asked:
	case <-limit.C:
	}
	var buf bytes.Buffer
	if err := p.template.Execute(&buf, p.monitor.view()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	if _, err := w.Write(buf.Bytes()); err != nil {
		return // whoever asked is gone
	}
	_ = http.NewResponseController(w).Flush() // a proxy that cannot shows the page a little later
}

// events keeps an open page up to date.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.viewers <- struct{}{}:
		defer func() { <-p.viewers }()
	default:
		http.Error(w, "Too many pages of this monitor are open.", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	q := webpage.NewQueue(1, maxViewBytes)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { p.monitor.cluster.keepFresh(ctx) })
	work.Go(func() {
		tick := time.NewTicker(viewEvery)
		defer tick.Stop()
		for {
			q.Add("view", p.view())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	_ = q.Serve(ctx, w, nil) // whoever asked is gone, or the program ends
}

// view returns the view as JSON.
func (p *page) view() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.viewedAt) < viewEvery/2 {
		return p.last
	}
	text, err := json.Marshal(p.monitor.view())
	if err != nil {
		text = []byte("null") // a view has nothing that cannot be written
	}
	p.last, p.viewedAt = text, time.Now()
	return text
}
