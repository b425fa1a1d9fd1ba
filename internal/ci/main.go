// Command ci runs the test suites for .ci/run and says what came of them:
//
//	ci suite -name NAME [-kafka apache[:VERSION]] [-dir DIR] -out FILE [-- go test arguments]
//	ci verdict [-checks FILE] FILE...
//
// suite runs `go test` once, with the KAFKA that it is told, prints packages, failures, counts and every skipped test
// with its reason, and writes the results to a file. With -kafka apache it starts one Apache Kafka that all packages
// share; tests that need a cluster of their own start it themselves.
//
// verdict reads the results of all suites. A test that was skipped in one suite because it belongs to another is fine;
// one that ran in none fails the run, unless this machine has not what it needs. It ends with a line of plain counts.
//
// The exit status is 0 when everything passed, 1 when something failed, 2 when the command was called wrongly.
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

// errFailed says that what was to be reported has been.
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
		flags.StringVar(&s.name, "name", "", "what to call the suite")
		flags.StringVar(&s.kafka, "kafka", "", "the suite's KAFKA")
		flags.StringVar(&s.dir, "dir", ".", "the work tree to test")
		flags.StringVar(&s.out, "out", "", "the file for the results")
		if flags.Parse(args[1:]) != nil {
			return 2
		}
		s.args = flags.Args()
		err = s.run(ctx, stdout, stderr)
	case "verdict":
		checks := flags.String("checks", "", "a file with a line `ok NAME` or `FAIL NAME` for every check that is not a test")
		if flags.Parse(args[1:]) != nil {
			return 2
		}
		err = verdict(stdout, *checks, flags.Args())
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
