package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// status is how a test ended.
type status string

const (
	passed  status = "pass"
	failed  status = "fail"
	skipped status = "skip"
)

// result is one test or subtest of a suite. A package that failed outside of its tests has a result without a Test.
type result struct {
	Package, Test string
	Status        status
	Reason        string `json:",omitempty"` // why it was skipped
}

func (r result) name() string {
	if r.Test == "" {
		return r.Package
	}
	return r.Package + " " + r.Test
}

// results are the results file of a suite.
type results struct {
	Suite    string
	Packages int // packages with tests
	Tests    []result
}

func (r results) count(s status) int {
	n := 0
	for _, t := range r.Tests {
		if t.Status == s {
			n++
		}
	}
	return n
}

// counts returns the summary line of a suite.
func (r results) counts() string {
	return fmt.Sprintf("suite %q: %d packages, %d tests passed, %d failed, %d skipped", r.Suite, r.Packages,
		r.count(passed), r.count(failed), r.count(skipped))
}

// event is one line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds

	Key, Value string // of an attr event

	ImportPath string // of a build-output event, instead of Package
}

// figures is the key of the attribute (t.Attr) that holds a test's measurements.
const figures = "figures"

// collect reads the output of `go test -json` to its end, writes packages and the output of failed tests to w, and
// returns the results.
func collect(r io.Reader, w io.Writer) (tests []result, packages int, err error) {
	c := collector{w: w, packages: make(map[string]*packageTests)}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(w, "%s", line) // output of the go command itself
			} else {
				c.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			c.finish()
			return c.done, c.tested, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("ci: reading the tests' output: %w", err)
		}
	}
}

// collector gathers events by package.
type collector struct {
	w        io.Writer
	packages map[string]*packageTests // running packages
	done     []result
	tested   int
}

// packageTests are the tests of a running package.
type packageTests struct {
	output map[string]*strings.Builder // by test; "" is the package's own
	tests  map[string]status           // "" while it runs
}

func (c *collector) add(e event) {
	if e.Package == "" {
		if e.Action == "build-output" {
			fmt.Fprint(c.w, e.Output)
		}
		return
	}
	p := c.packages[e.Package]
	if p == nil {
		p = &packageTests{output: make(map[string]*strings.Builder), tests: make(map[string]status)}
		c.packages[e.Package] = p
	}
	switch e.Action {
	case "run":
		p.tests[e.Test] = ""
	case "attr":
		if e.Key == figures {
			fmt.Fprintf(c.w, "  figures: %s: %s\n", e.Test, e.Value)
		}
	case "output":
		b := p.output[e.Test]
		if b == nil {
			b = new(strings.Builder)
			p.output[e.Test] = b
		}
		b.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			p.tests[e.Test] = status(e.Action)
			return
		}
		c.endPackage(e, p)
		delete(c.packages, e.Package)
	}
}

// endPackage prints a package and stores its results.
func (c *collector) endPackage(e event, p *packageTests) {
	if len(p.tests) == 0 && e.Action != string(failed) {
		return // no test files
	}
	c.tested++
	counts := make(map[status]int)
	for _, test := range slices.Sorted(maps.Keys(p.tests)) {
		r := result{Package: e.Package, Test: test, Status: p.tests[test]}
		switch r.Status {
		case "":
			r.Status = failed // it still ran when the package ended
			fallthrough
		case failed:
			fmt.Fprintf(c.w, "--- FAIL %s\n%s", r.name(), p.said(test))
		case skipped:
			r.Reason = skipReason(p.said(test))
		}
		counts[r.Status]++
		c.done = append(c.done, r)
	}
	word := "ok  "
	if e.Action == string(failed) {
		word = "FAIL"
		if counts[failed] == 0 {
			c.done = append(c.done, result{Package: e.Package, Status: failed})
		}
		fmt.Fprint(c.w, p.said(""))
	}
	fmt.Fprintf(c.w, "%s  %s  %v  (%d passed, %d failed, %d skipped)\n", word, e.Package,
		time.Duration(e.Elapsed*float64(time.Second)).Round(10*time.Millisecond), counts[passed], counts[failed],
		counts[skipped])
}

// finish ends the packages whose last event is missing because the go command stopped.
func (c *collector) finish() {
	for _, name := range slices.Sorted(maps.Keys(c.packages)) {
		c.endPackage(event{Action: string(failed), Package: name}, c.packages[name])
	}
}

func (p *packageTests) said(test string) string {
	if b := p.output[test]; b != nil {
		return b.String()
	}
	return ""
}

// logLine matches a line of t.Skip or t.Log: an indented file:line and the text.
var logLine = regexp.MustCompile(`(?m)^\s+[^\s:]+\.go:\d+: (.*)$`)

// skipReason returns the text of t.Skip, which is the last text in the output of a skipped test.
func skipReason(output string) string {
	said := logLine.FindAllStringSubmatch(output, -1)
	if len(said) == 0 {
		return "no reason"
	}
	return strings.TrimSpace(said[len(said)-1][1])
}
