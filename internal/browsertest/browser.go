// Package browsertest opens pages in a headless Chromium for tests. It uses the DevTools protocol over two pipes,
// which needs no library, no port and no WebSocket.
package browsertest

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// waitTimeout is the longest wait for a state of a page.
const waitTimeout = time.Minute

// Browser is a running Chromium.
type Browser struct {
	t     testing.TB
	to    io.Writer
	ended chan struct{} // closed when the browser's output has ended

	mu      sync.Mutex
	next    int
	answers map[int]chan message
	pages   map[string]*Page
}

// message is a message from the browser: a response with an ID, or an event.
type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// New starts a browser that is closed when the test ends. Without Chromium on the machine the test is skipped.
func New(t testing.TB) *Browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("Chromium is not installed: apt-get install chromium")
	}
	fromUs, toBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromBrowser, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	//nolint:usetesting // t.TempDir would fail while the browser's last processes still write there
	profile, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(profile, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir="+profile,
		"about:blank")
	cmd.ExtraFiles = []*os.File{fromUs, toUs} // file descriptors 3 and 4, as --remote-debugging-pipe expects
	cmd.Stderr = log
	ownGroup(cmd)
	err = cmd.Start()
	_ = fromUs.Close()
	_ = toUs.Close()
	if err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	b := &Browser{t: t, to: toBrowser, ended: make(chan struct{}), answers: make(map[int]chan message),
		pages: make(map[string]*Page)}
	go b.receive(fromBrowser)
	t.Cleanup(func() {
		_ = toBrowser.Close() // the browser ends when its input ends
		killTimer := time.AfterFunc(5*time.Second, func() { killGroup(cmd) })
		_ = cmd.Wait()
		killTimer.Stop()
		killGroup(cmd) // the browser's remaining child processes
		<-b.ended
		_ = fromBrowser.Close()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(line, "dbus/") { // containers have no D-Bus
					t.Logf("Chromium: %s", line)
				}
			}
		}
		_ = os.RemoveAll(profile)
	})
	return b
}

// receive delivers responses to their callers and events to their pages.
func (b *Browser) receive(r io.Reader) {
	defer close(b.ended)
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		answer, page := b.answers[m.ID], b.pages[m.SessionID]
		if m.ID != 0 {
			delete(b.answers, m.ID)
		}
		b.mu.Unlock()
		switch {
		case m.ID != 0 && answer != nil:
			answer <- m
		case m.ID == 0 && page != nil:
			page.event(m)
		}
	}
}

// send sends a command and returns the channel of its response.
func (b *Browser) send(session, method string, params any) (<-chan message, error) {
	answer := make(chan message, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	text, err := json.Marshal(map[string]any{"id": b.next, "sessionId": session, "method": method, "params": params})
	if session == "" {
		text, err = json.Marshal(map[string]any{"id": b.next, "method": method, "params": params})
	}
	if err != nil {
		return nil, err
	}
	b.answers[b.next] = answer
	_, err = b.to.Write(append(text, 0))
	return answer, err
}

// call sends a command and waits for its result.
func (b *Browser) call(session, method string, params, result any) error {
	answer, err := b.send(session, method, params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), waitTimeout)
	defer cancel()
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.ended:
		return fmt.Errorf("%s: the browser has exited", method)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", method, ctx.Err())
	}
}

// Page is an open page.
type Page struct {
	b       *Browser
	session string

	mu       sync.Mutex
	problems []string
}

// Open opens a page of the given width and height and waits until it is loaded.
func (b *Browser) Open(url string, width, height int) *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	p := &Page{b: b}
	err := b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	if err == nil {
		err = b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	}
	p.session = attached.SessionID
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if err == nil {
			err = b.call(p.session, domain+".enable", struct{}{}, nil)
		}
	}
	if err == nil {
		err = b.call(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height,
			"deviceScaleFactor": 1, "mobile": false}, nil)
	}
	if err != nil {
		b.t.Fatalf("open a page: %v", err)
	}
	p.Go(url)
	return p
}

// Go navigates to another URL.
func (p *Page) Go(url string) {
	p.b.t.Helper()
	var result struct{ ErrorText string }
	err := p.b.call(p.session, "Page.navigate", map[string]any{"url": url}, &result)
	if err == nil && result.ErrorText != "" {
		err = errors.New(result.ErrorText)
	}
	if err != nil {
		p.b.t.Fatalf("open %s: %v", url, err)
	}
	p.Until("document.readyState === 'complete'")
}

// Problems returns what the pages under test must never cause: exceptions, errors on the console, violations of the
// content security policy, and dialogs.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.problems...)
}

// NoProblems reports [Page.Problems] as an error of the test.
func (p *Page) NoProblems() {
	p.b.t.Helper()
	if problems := p.Problems(); len(problems) > 0 {
		p.b.t.Errorf("problems of the page: %s", strings.Join(problems, "\n"))
	}
}

// event records problems.
func (p *Page) event(m message) {
	problem := false
	switch m.Method {
	case "Runtime.exceptionThrown", "Log.entryAdded":
		var entry struct {
			Entry struct{ Level, Source string }
		}
		_ = json.Unmarshal(m.Params, &entry)
		problem = m.Method == "Runtime.exceptionThrown" || entry.Entry.Level == "error"
	case "Runtime.consoleAPICalled":
		var call struct{ Type string }
		_ = json.Unmarshal(m.Params, &call)
		problem = call.Type == "error" || call.Type == "assert"
	case "Page.javascriptDialogOpening": // the page blocks until the dialog is closed
		problem = true
		_, _ = p.b.send(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": false})
	}
	if problem {
		p.mu.Lock()
		p.problems = append(p.problems, m.Method+" "+string(m.Params))
		p.mu.Unlock()
	}
}

// eval evaluates an expression, awaits a promise, and returns the result as JSON.
func (p *Page) eval(expression string) (json.RawMessage, error) {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true,
		"returnByValue": true, "userGesture": true}, &answer)
	if err == nil && answer.ExceptionDetails != nil {
		err = fmt.Errorf("%s %s", answer.ExceptionDetails.Text, answer.ExceptionDetails.Exception.Description)
	}
	return answer.Result.Value, err
}

// Eval evaluates a JavaScript expression and decodes its value into result unless result is nil.
func (p *Page) Eval(expression string, result any) {
	p.b.t.Helper()
	value, err := p.eval(expression)
	if err == nil && result != nil {
		err = json.Unmarshal(value, result)
	}
	if err != nil {
		p.b.t.Fatalf("evaluate %s: %v", expression, err)
	}
}

// Text returns the visible text of the page.
func (p *Page) Text() (text string) {
	p.b.t.Helper()
	p.Eval("document.body.innerText", &text)
	return text
}

// Until waits until an expression is true. On failure the test shows the text of the page.
func (p *Page) Until(expression string) {
	p.b.t.Helper()
	end := time.Now().Add(waitTimeout)
	for {
		value, err := p.eval("!!(" + expression + ")")
		if err == nil && string(value) == "true" {
			return
		}
		if time.Now().After(end) {
			p.b.t.Fatalf("timed out waiting for %s (last error: %v); the page shows:\n%s\nproblems: %q", expression,
				err, p.Text(),
				p.Problems())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Fill sets the value of a form's element and dispatches the events of a user's input.
func (p *Page) Fill(selector, value string) {
	p.b.t.Helper()
	p.Eval(fmt.Sprintf("{ const e = document.querySelector(%q); e.value = %q; "+
		"e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true})); }",
		selector, value), nil)
}

// Click clicks an element.
func (p *Page) Click(selector string) {
	p.b.t.Helper()
	p.Eval(fmt.Sprintf("document.querySelector(%q).click()", selector), nil)
}

// Dark emulates the preference for dark colours.
func (p *Page) Dark() {
	p.b.t.Helper()
	err := p.b.call(p.session, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{
		"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	if err != nil {
		p.b.t.Fatal(err)
	}
}

// WithoutScripts reloads the page with JavaScript disabled.
func (p *Page) WithoutScripts(url string) {
	p.b.t.Helper()
	if err := p.b.call(p.session, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil); err != nil {
		p.b.t.Fatal(err)
	}
	p.Go(url)
}

// Screenshot writes the visible part of the page as PNG.
func (p *Page) Screenshot(path string) {
	p.b.t.Helper()
	var shot struct{ Data string }
	err := p.b.call(p.session, "Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	var picture []byte
	if err == nil {
		picture, err = base64.StdEncoding.DecodeString(shot.Data)
	}
	if err == nil {
		err = os.WriteFile(path, picture, 0o644)
	}
	if err != nil {
		p.b.t.Fatalf("take a screenshot: %v", err)
	}
}
