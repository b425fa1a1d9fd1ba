package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

// suite is one run of `go test`.
type suite struct {
	name  string
	kafka string
	dir   string
	out   string
	args  []string
}

// run runs the tests; it returns errFailed when some failed.
func (s suite) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if s.name == "" || s.out == "" {
		return errors.New("ci: a suite needs -name and -out")
	}
	env := append(withoutKafka(os.Environ()), "KAFKA="+s.kafka)
	if kafka, version, _ := strings.Cut(s.kafka, ":"); kafka == "apache" {
		started := time.Now()
		version = cmp.Or(version, apache.Version)
		c, err := apache.Start(ctx, apache.Options{Version: version})
		if err != nil {
			return err
		}
		defer func() {
			if err != nil {
				fmt.Fprint(stdout, c.Log())
			}
			err = errors.Join(err, c.Close())
		}()
		fmt.Fprintf(stdout, "Apache Kafka %s on %s, started in %v\n", version, c.Servers()[0],
			time.Since(started).Round(10*time.Millisecond))
		env = append(env, "KAFKATEST_SHARED="+c.Servers()[0])
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1"}, s.args...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = s.dir, env, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // the go command passes it on to the tests
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("ci: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ci: starting go test: %w", err)
	}
	tests, packages, err := collect(pipe, stdout)
	if err := errors.Join(err, s.end(cmd.Wait(), &tests)); err != nil {
		return err
	}
	res := results{Suite: s.name, Packages: packages, Tests: tests}
	fmt.Fprintln(stdout, res.counts())
	for _, t := range res.Tests {
		if t.Status == skipped {
			fmt.Fprintf(stdout, "  skipped: %s: %s\n", t.name(), t.Reason)
		}
	}
	data, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("ci: %w", err)
	}
	if err := os.WriteFile(s.out, data, 0o600); err != nil {
		return fmt.Errorf("ci: keeping the results: %w", err)
	}
	if res.count(failed) > 0 {
		return errFailed
	}
	return nil
}

// end evaluates the exit status of the go command: a failure without a failed test becomes a result of its own.
func (s suite) end(err error, tests *[]result) error {
	var exit *exec.ExitError
	if err == nil {
		return nil
	}
	if !errors.As(err, &exit) {
		return fmt.Errorf("ci: running go test: %w", err)
	}
	if (results{Tests: *tests}).count(failed) == 0 {
		*tests = append(*tests, result{Package: "go test: " + exit.Error(), Status: failed})
	}
	return nil
}

// withoutKafka removes variables that would select another Kafka for the suite.
func withoutKafka(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "KAFKA") {
			kept = append(kept, v)
		}
	}
	return kept
}
