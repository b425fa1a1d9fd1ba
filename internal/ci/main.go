// Command ci runs the test suites for .ci/run and reports their results:
//
//	ci suite -name NAME [-kafka apache[:VERSION]] [-dir DIR] -out FILE [-- go test arguments]
//	ci verdict [-checks FILE] FILE...
//
// suite runs `go test` once, with KAFKA set from -kafka. It prints packages, failures, counts and each skipped test
// with its reason, and writes the results to a file. With -kafka apache it starts one Apache Kafka that all packages
// share; tests that need a cluster of their own start it themselves.
//
// verdict reads the results of all suites. A test that one suite skipped and another ran is fine. A test that no
// suite ran fails the run, unless the machine lacks what the test needs. The last line has the counts.
//
// The exit status is 0 when everything passed, 1 when something failed, 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = "usage: ci suite -name NAME [-kafka apache[:VERSION]] [-dir DIR] -out FILE [-- go test arguments]\n" +
	"       ci verdict [-checks FILE] FILE..."

// errFailed is the error of a run whose failures are printed already.
var errFailed = errors.New("ci: there are failures")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, usage)
		return 2
	}
	var err error
	flags := flag.NewFlagSet("ci "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	switch args[0] {
	case "suite":
		var s suite
		flags.StringVar(&s.name, "name", "", "name of the suite")
		flags.StringVar(&s.kafka, "kafka", "", "value of KAFKA for the suite")
		flags.StringVar(&s.dir, "dir", ".", "work tree to test")
		flags.StringVar(&s.out, "out", "", "file for the results")
		if flags.Parse(args[1:]) != nil {
			return 2
		}
		s.args = flags.Args()
		err = s.run(ctx, stdout, stderr)
	case "verdict":
		checks := flags.String("checks", "", "file with a line `ok NAME` or `FAIL NAME` for each check that is not a test")
		if flags.Parse(args[1:]) != nil {
			return 2
		}
		err = mergeSuites(stdout, *checks, flags.Args())
	default:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	if err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(stderr, err)
		}
		return 1
	}
	return 0
}
