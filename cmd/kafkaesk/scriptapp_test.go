package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// setGoEnv has the go command work in a script, whose environment is its own.
func setGoEnv(env *testscript.Env) error {
	names := []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return err
	}
	for n, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		env.Setenv(names[n], value)
	}
	env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
	return nil
}

func makeModule(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := benchOf(ts).bounded()
	defer cancel()
	ts.Check(requireKafkaesk(ctx, ts.MkAbs(args[0])))
}

func runProgram(ts *testscript.TestScript, neg bool, args []string) {
	b := benchOf(ts)
	ctx, cancel := b.bounded()
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Getenv(programEnv), args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), scriptEnv(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(ts.ReadFile(ts.Getenv("WORK")+"/stdin")), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	b.code = cmd.ProcessState.ExitCode()
	b.said(ts, neg, out.String(), withoutAnnouncement(errs.String()))
}

// scriptEnv is the environment of a process that a script starts.
func scriptEnv(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
		"KAFKAESK_KAFKA_SERVERS", "KAFKAESK_TOPIC_PREFIX",
	} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func checkSame(ts *testscript.TestScript, _ bool, _ []string) {
	b := benchOf(ts)
	now := snapshot(b.t, ts.MkAbs("."))
	if b.tree == nil {
		b.tree = now
	} else if !maps.Equal(b.tree, now) {
		ts.Fatalf("the tree has changed")
	}
}

// demoProcess is a running `kafkaesk demo`.
type demoProcess struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	output bytes.Buffer
}

func (d *demoProcess) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.Write(p)
}

func (d *demoProcess) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.String()
}

// demoPassword is one of another Kafka.
const demoPassword = "c4nary-s3cret"

func startDemo(ts *testscript.TestScript, _ bool, _ []string) {
	b := benchOf(ts)
	logtail := filepath.Join(ts.Getenv("WORK"), executable("logtail"))
	build := exec.CommandContext(b.t.Context(), "go", "build", "-o", logtail, "../logtail")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
	d := &demoProcess{cmd: exec.CommandContext(b.t.Context(), os.Getenv(programEnv), "demo")}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	// The demo is for itself: what the environment says of another Kafka does not matter, and no secret of it is printed.
	d.cmd.Env = append(scriptEnv(ts), "PATH="+filepath.Dir(logtail), "KAFKAESK_TOPIC_PREFIX=other.",
		`KAFKAESK_KAFKA_SETTINGS={"security_protocol":"SASL_PLAINTEXT","sasl_plain_username":"u","sasl_plain_password":"`+
			demoPassword+`"}`)
	ts.Check(d.cmd.Start())
	b.demo = d
	for name, said := range map[string]string{
		"BROKER": `broker +(127\S+)`, "MONITOR": `monitor +(http://127\S+/)`, "LOGS": `logtail: .*(http://127\S+/)`,
	} {
		address := regexp.MustCompile(said)
		testkit.Eventually(b.t, func() bool { return address.MatchString(d.String()) }, d.String)
		ts.Setenv(name, address.FindStringSubmatch(d.String())[1])
	}
}

func endDemo(ts *testscript.TestScript, _ bool, _ []string) {
	d := benchOf(ts).demo
	ts.Check(d.cmd.Process.Signal(syscall.SIGTERM))
	if err := d.cmd.Wait(); err != nil {
		ts.Fatalf("%v: %s", err, d)
	}
	if strings.Contains(d.String(), demoPassword) {
		ts.Fatalf("the demo prints the password: %s", d)
	}
}

// get returns the status and the body of an answer.
func get(ts *testscript.TestScript, url string) (string, error) {
	ctx, cancel := benchOf(ts).bounded()
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%s\n%s", response.Status, body), err
}

func untilText(ts *testscript.TestScript, _ bool, args []string) {
	b := benchOf(ts)
	run := func() (string, error) { return get(ts, args[2]) }
	if args[1] == "kafkaesk" {
		run = func() (string, error) {
			ctx, cancel := b.bounded()
			defer cancel()
			var out, errs bytes.Buffer
			Run(ctx, args[2:], Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: ts.Getenv})
			return out.String() + errs.String(), nil
		}
	}
	var said string
	testkit.Eventually(b.t, func() bool {
		var err error
		said, err = run()
		return err == nil && strings.Contains(said, args[0])
	}, func() string { return strings.Join(args, " ") + ": " + said })
}
