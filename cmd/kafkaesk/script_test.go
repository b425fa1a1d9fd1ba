package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/internal/cmdtest"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

var update = flag.Bool("update", false, "write what comes out to the golden files")

// scriptTime bounds each command of a script. The first build of an app takes long on a busy machine.
const scriptTime = 3 * time.Minute

// TestScripts runs the scripts of testdata/scripts, each on streams of its own. Beside testscript's commands they have:
//
//	put STREAM FILE [key=K] [header=NAME=VALUE] [time=RFC3339]   each line of FILE is a record's value
//	handle GROUP STREAM N                                        the group handles N records and commits them
//	give-up GROUP STREAM N [ERROR]                               the group makes N records dead letters
//	read STREAM N                                                prints N records: key, value, headers of the caller
//	join GROUP STREAM                                            the group has a member until the script ends
//	kafkaesk ARGUMENTS                                           in the process; standard input is that of stdin
//	code N                                                       the exit code of the last kafkaesk or program
//	module DIR                                                   makes DIR a module that requires this repository
//	program ARGUMENTS                                            kafkaesk as a process in the script's directory
//	same                                                         nothing there has changed since the first "same"
//	demo, end-demo                                               runs kafkaesk demo; sets $BROKER, $MONITOR and $LOGS
//	until TEXT fetch URL                                         gets a page until TEXT is in its status or body
//	until TEXT kafkaesk ARGUMENTS                                runs kafkaesk until TEXT is in what it prints
//
// $PREFIX is the topics' prefix. Groups whose names begin with it are the script's own. It is cut out of what
// kafkaesk prints.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "scripts"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			b := newScriptBench(env.T().(testing.TB))
			cmdtest.SetKafka(env, b.cluster.Servers(), b.prefix)
			env.Values["bench"] = b
			return setGoEnv(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"put": putLines, "handle": handleRecords, "give-up": giveUpRecords, "read": readRecords, "join": joinGroup,
			"kafkaesk": runKafkaesk, "code": checkCode,
			"module": makeModule, "program": runProgram, "same": checkSame,
			"demo": startDemo, "end-demo": endDemo, "until": untilText,
		},
	})
}

// scriptBench is what a script works on.
type scriptBench struct {
	t       testing.TB
	cluster *kafkatest.Cluster
	prefix  string
	app     *bus.App
	code    int
	tree    files // what "same" has seen
	demo    *demoProcess
}

func newScriptBench(t testing.TB) *scriptBench {
	cluster := kafkatest.Start(t)
	b := &scriptBench{t: t, cluster: cluster, prefix: cluster.Prefix(t)}
	b.app = b.newApp()
	t.Cleanup(func() { b.close(b.app) })
	return b
}

func (b *scriptBench) newApp() *bus.App {
	return bus.New(bus.Config{Servers: b.cluster.Servers(), TopicPrefix: b.prefix, Logger: testkit.Logger(b.t)})
}

func (b *scriptBench) close(app *bus.App) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	if err := app.Close(ctx); err != nil {
		b.t.Errorf("close: %v", err)
	}
}

func benchOf(ts *testscript.TestScript) *scriptBench { return ts.Value("bench").(*scriptBench) }

func (b *scriptBench) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.t.Context(), scriptTime)
}

func checkCode(ts *testscript.TestScript, _ bool, args []string) {
	cmdtest.CheckCode(ts, benchOf(ts).code, args)
}

func putLines(ts *testscript.TestScript, _ bool, args []string) {
	b := benchOf(ts)
	ctx, cancel := b.bounded()
	defer cancel()
	cmdtest.Publish(ctx, ts, b.app, args)
}

func handleRecords(ts *testscript.TestScript, _ bool, args []string) {
	consumeRecords(ts, args, func(*bus.Record) error { return nil })
}

func giveUpRecords(ts *testscript.TestScript, _ bool, args []string) {
	text := "refused"
	if len(args) == 4 {
		text = args[3]
	}
	consumeRecords(ts, args, func(*bus.Record) error { return bus.Reject(errors.New(text)) })
}

// consumeRecords runs a group until N records are handled and committed.
func consumeRecords(ts *testscript.TestScript, args []string, outcome func(*bus.Record) error) {
	b := benchOf(ts)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ctx, cancel := b.bounded()
	defer cancel()
	app := b.newApp()
	defer b.close(app)
	var handled atomic.Int64
	bus.MustSubscribe(app, args[1], func(_ context.Context, r *bus.Record) error {
		handled.Add(1)
		return outcome(r)
	}, bus.Group(args[0]), bus.DeadLetter(), bus.Retry(bus.RetryPolicy{Attempts: 1}))
	_, err = app.ConsumeFor(ctx, n)
	ts.Check(err)
	if handled.Load() != int64(n) {
		ts.Fatalf("%d records were handled, want %d", handled.Load(), n)
	}
}

func readRecords(ts *testscript.TestScript, _ bool, args []string) {
	b := benchOf(ts)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx, cancel := b.bounded()
	defer cancel()
	for r, err := range b.app.Tail(ctx, args[0], bus.FromStart(), bus.StopAtEnd()) {
		ts.Check(err)
		key := "-"
		if r.Key != nil {
			key = string(r.Key)
		}
		fmt.Fprintf(ts.Stdout(), "%s %s", key, r.Value)
		for _, h := range r.Headers {
			if !strings.HasPrefix(h.Name, "kafkaesk-") {
				fmt.Fprintf(ts.Stdout(), " %s=%s", h.Name, h.Value)
			}
		}
		fmt.Fprintln(ts.Stdout())
		n--
	}
	if n != 0 {
		ts.Fatalf("%d records less than wanted", n)
	}
}

// joinGroup runs a member of a group until the script ends.
func joinGroup(ts *testscript.TestScript, _ bool, args []string) {
	b := benchOf(ts)
	app := b.newApp()
	bus.MustSubscribe(app, args[1], func(context.Context, *bus.Record) error { return nil }, bus.Group(args[0]))
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
		b.close(app)
	})
	testkit.Until(b.t, "the group has its partitions", func() bool {
		s := app.Stats().Subscriptions
		return len(s) == 1 && len(s[0].Assigned) > 0
	})
}

func runKafkaesk(ts *testscript.TestScript, neg bool, args []string) {
	b := benchOf(ts)
	ctx, cancel := b.bounded()
	defer cancel()
	var out, errs bytes.Buffer
	b.code = Run(ctx, args, Streams{In: strings.NewReader(ts.ReadFile("stdin")), Out: &out, Err: &errs, Getenv: ts.Getenv})
	b.said(ts, neg, out.String(), errs.String())
}

// said passes on what kafkaesk has said.
func (b *scriptBench) said(ts *testscript.TestScript, neg bool, out, errs string) {
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(out, b.prefix, ""))
	fmt.Fprint(ts.Stderr(), strings.ReplaceAll(errs, b.prefix, ""))
	if neg != (b.code != 0) {
		ts.Fatalf("exit code %d\n%s", b.code, errs)
	}
}
