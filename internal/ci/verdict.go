package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// excuses are the reasons to skip that depend on the machine. A test with any other reason must run in one suite.
var excuses = []string{"no Docker daemon"}

// outcome is the result of one test over all suites.
type outcome struct {
	passed, failed bool
	reason         string // of the last suite that skipped it
}

// mergeSuites merges the suites and prints the counts as its last line. It returns errFailed unless everything passed.
// Each test and each check counts once, however many suites ran it.
func mergeSuites(w io.Writer, checksFile string, files []string) error {
	var nPassed, nFailed, nSkipped int
	tests := make(map[string]outcome)
	for _, file := range files {
		r, err := readResults(file)
		if err != nil {
			nFailed++
			fmt.Fprintf(w, "FAILED: a suite left no results: %v\n", err)
			continue
		}
		fmt.Fprintln(w, r.counts())
		for _, t := range r.Tests {
			o := tests[t.name()]
			switch t.Status {
			case passed:
				o.passed = true
			case failed:
				o.failed = true
			case skipped:
				o.reason = t.Reason
			}
			tests[t.name()] = o
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		switch o := tests[name]; {
		case o.failed:
			nFailed++
			fmt.Fprintf(w, "FAILED: %s\n", name)
		case o.passed:
			nPassed++
		case slices.ContainsFunc(excuses, func(e string) bool { return strings.Contains(o.reason, e) }):
			nSkipped++
			fmt.Fprintf(w, "skipped everywhere: %s: %s\n", name, o.reason)
		default:
			nFailed++
			fmt.Fprintf(w, "FAILED: %s: no suite ran it, and this machine could: %s\n", name, o.reason)
		}
	}
	ok, bad, err := readChecks(checksFile)
	if err != nil {
		return err
	}
	for _, name := range bad {
		fmt.Fprintf(w, "FAILED: %s\n", name)
	}
	nPassed, nFailed = nPassed+len(ok), nFailed+len(bad)
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", nPassed, nFailed, nSkipped)
	if nFailed > 0 {
		return errFailed
	}
	return nil
}

func readResults(file string) (r results, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// readChecks reads the file of checks. A missing file has no checks.
func readChecks(file string) (ok, bad []string, err error) {
	if file == "" {
		return nil, nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("ci: reading the checks: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		word, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ok":
			ok = append(ok, name)
		case "FAIL":
			bad = append(bad, name)
		default:
			return nil, nil, fmt.Errorf("ci: %s has a malformed line: %q", file, line)
		}
	}
	return ok, bad, nil
}
