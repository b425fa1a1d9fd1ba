// Package browsertest opens pages in a headless Chromium for tests. It talks to the browser by its DevTools protocol
// over two pipes, which needs no library, no port and no WebSocket.
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

// patience is the longest wait for a state of a page.
const patience = time.Minute

// Browser is a running Chromium.
type Browser struct {
	t     testing.TB
	to    io.Writer
	ended chan struct{} // closed when nothing more is received

	mu      sync.Mutex
	next    int
	answers map[int]chan message
	pages   map[string]*Page
}

// message is what the protocol sends: an answer with an ID, or an event.
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

// New starts a browser that ends with the test. A machine without Chromium skips the test.
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
		t.Skip("no Chromium here: apt-get install chromium")
	}
	fromUs, toBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromBrowser, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	//nolint:usetesting // t would fail when the browser's last processes still write there
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
	cmd.ExtraFiles = []*os.File{fromUs, toUs} // 3 and 4, as the flag has it
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
		_ = toBrowser.Close() // which ends the browser
		hurry := time.AfterFunc(5*time.Second, func() { killGroup(cmd) })
		_ = cmd.Wait()
		hurry.Stop()
		killGroup(cmd) // the processes that it has left
		<-b.ended
		_ = fromBrowser.Close()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(line, "dbus/") { // which a container has not
					t.Logf("Chromium: %s", line)
				}
			}
		}
		_ = os.RemoveAll(profile)
	})
	return b
}

// receive hands answers to those who wait for them, and events to their pages.
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

// send sends a command without waiting for its answer, which comes on the channel.
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
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
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
		return fmt.Errorf("%s: the browser has ended", method)
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

// Open opens a page of that width and height, and waits until it is loaded.
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

// Go leads the page to another URL.
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

// Problems are what has gone wrong in the page, and what no page of ours does: exceptions, errors of the console, what
// the content policy has stopped, and dialogs.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.problems...)
}

// NoProblems fails the test, and goes on, when there are [Page.Problems].
func (p *Page) NoProblems() {
	p.b.t.Helper()
	if problems := p.Problems(); len(problems) > 0 {
		p.b.t.Errorf("the browser has seen: %s", strings.Join(problems, "\n"))
	}
}

// event keeps problems.
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
	case "Page.javascriptDialogOpening": // which stops the page until it is answered
		problem = true
		_, _ = p.b.send(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": false})
	}
	if problem {
		p.mu.Lock()
		p.problems = append(p.problems, m.Method+" "+string(m.Params))
		p.mu.Unlock()
	}
}

// eval evaluates an expression, and waits where it is a promise. The result is JSON.
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

// Eval evaluates a JavaScript expression, whose value goes into result, where that is not nil.
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

// Text is the text of the page as a reader sees it.
func (p *Page) Text() (text string) {
	p.b.t.Helper()
	p.Eval("document.body.innerText", &text)
	return text
}

// Until waits until an expression is true. It fails the test with the text of the page.
func (p *Page) Until(expression string) {
	p.b.t.Helper()
	end := time.Now().Add(patience)
	for {
		value, err := p.eval("!!(" + expression + ")")
		if err == nil && string(value) == "true" {
			return
		}
		if time.Now().After(end) {
			p.b.t.Fatalf("waited in vain for %s (last error: %v); the page shows:\n%s\nproblems: %q", expression, err, p.Text(),
				p.Problems())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Fill sets the value of a form's element as a user would, with the events that follow.
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

// Dark has the page think that its reader likes dark colours.
func (p *Page) Dark() {
	p.b.t.Helper()
	err := p.b.call(p.session, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{
		"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	if err != nil {
		p.b.t.Fatal(err)
	}
}

// WithoutScripts loads the page again for a reader without JavaScript.
func (p *Page) WithoutScripts(url string) {
	p.b.t.Helper()
	if err := p.b.call(p.session, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil); err != nil {
		p.b.t.Fatal(err)
	}
	p.Go(url)
}

// Screenshot writes a picture of what is seen of the page, as PNG.
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
		p.b.t.Fatalf("take a picture: %v", err)
	}
}
