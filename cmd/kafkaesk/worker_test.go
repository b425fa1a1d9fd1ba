package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// orders is the App of a module of its own: it prints the records it handles. The record "slow" is handled until a line
// comes from standard input.
const orders = `package orders

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/kafkaesk/kafkaesk/bus"
)

type Order struct {
	Name string ` + "`json:\"name\"`" + `
}

// App is run by: kafkaesk ./orders:App
func App() (*bus.App, error) {
	app := bus.New(bus.Config{})
	return app, bus.Subscribe(app, "orders.*", handle, bus.Group("orders"))
}

func handle(_ context.Context, o Order) error {
	fmt.Println("begun", o.Name)
	if o.Name == "slow" {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
	}
	fmt.Println("done", o.Name)
	return nil
}
`

// ordersModule makes a module outside of this repository that has the package orders.
func ordersModule(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	files{"orders/orders.go": orders}.write(t, dir)
	if err := requireKafkaesk(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// requireKafkaesk makes a directory a module that requires this repository, with the versions of all that it has.
func requireKafkaesk(ctx context.Context, dir string) error {
	const module = "github.com/kafkaesk/kafkaesk"
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	mod = bytes.Replace(mod, []byte("module "+module), []byte("module example.com/shop"), 1)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o600),
		os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600)); err != nil {
		return err
	}
	edit := exec.CommandContext(ctx, "go", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+root)
	edit.Dir = dir
	if out, err := edit.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod edit: %w: %s", err, out)
	}
	return nil
}

// A variable that was never set, and a function that returns nothing, are a sentence and not a panic.
func TestANilAppOrRouterIsASentence(t *testing.T) {
	t.Parallel()
	dir := ordersModule(t)
	files{"nothing/nothing.go": `package nothing

import "github.com/kafkaesk/kafkaesk/bus"

var (
	App    *bus.App
	Router *bus.Router
)

func New() (*bus.Router, error) { return nil, nil }
`}.write(t, dir)
	for symbol, want := range map[string]said{
		"App": {code: 2,
			stderr: "nothing: worker.Main: the App is nil: create it with bus.New (--help lists the flags)\n"},
		"Router": {code: 1, stderr: "example.com/shop/nothing.Router: bus: mount: the Router is nil: make it with " +
			"bus.NewRouter\n"},
		"New": {code: 1, stderr: "example.com/shop/nothing.New: bus: mount: the Router is nil: make it with " +
			"bus.NewRouter\n"},
	} {
		if got := kafkaesk(t, dir, nil, "./nothing:"+symbol); got != want {
			t.Errorf("%s: %+v\nwant %+v", symbol, got, want)
		}
	}
}

// kafkaesk ./orders:App handles records; SIGTERM lets the running handler finish, and what it has done is committed.
// The second start is quick. Not parallel, as it measures that.
func TestAnAppOfAnotherModule(t *testing.T) {
	broker := startBroker(t, "--ephemeral")
	defer broker.end(t, syscall.SIGTERM)
	client := broker.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	publish := func(names ...string) {
		t.Helper()
		for _, name := range names {
			r := &kgo.Record{Topic: "shop.orders.new", Partition: 0, Value: fmt.Appendf(nil, `{"schema":"Order:1","data":{`+
				`"name":%q}}`, name)}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := ordersModule(t)
	before := snapshot(t, dir)

	// run starts the worker, waits until it has said all the lines, and has it end with a signal. It returns what it has
	// said, and how long the start took.
	run := func(lines ...string) (string, time.Duration) {
		t.Helper()
		cmd := command(t, dir, []string{"KAFKAESK_TOPIC_PREFIX=shop."}, "./orders:App", "--kafka-servers="+broker.addr,
			"--log-format=json", "--log-level=debug")
		stdin, err1 := cmd.StdinPipe()
		stdout, err2 := cmd.StdoutPipe()
		stderr, err3 := cmd.StderrPipe()
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out, log := bufio.NewScanner(stdout), bufio.NewScanner(stderr)
		var said strings.Builder
		await := func(from *bufio.Scanner, text string) {
			t.Helper()
			for from.Scan() {
				fmt.Fprintln(&said, from.Text())
				if strings.Contains(from.Text(), text) {
					return
				}
			}
			t.Fatalf("the worker ended without %q: %v\n%s", text, cmd.Wait(), &said)
		}
		await(log, "worker: starting")
		took := time.Since(begin)
		for _, line := range lines {
			await(out, line)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		await(log, "worker: ending")
		// A worker without a running handler may have ended already.
		if _, err := fmt.Fprintln(stdin, "finish"); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		for _, s := range []*bufio.Scanner{out, log} {
			for s.Scan() {
				fmt.Fprintln(&said, s.Text())
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("the worker ended with %v\n%s", err, &said)
		}
		return said.String(), took
	}

	publish("a", "b", "slow")
	_, first := run("done a", "done b", "begun slow")
	if n := committed(t, client, "orders"); n != 3 {
		t.Errorf("%d records are committed, want 3", n)
	}
	publish("c")
	said, second := run("done c")
	if strings.Contains(said, "begun slow") {
		t.Errorf("the second worker begins again what was committed:\n%s", said)
	}
	if n := committed(t, client, "orders"); n != 4 {
		t.Errorf("%d records are committed, want 4", n)
	}
	t.Attr("figures", fmt.Sprintf("the first start built in %v; the second one took %v", first.Round(time.Millisecond),
		second.Round(time.Millisecond)))
	if second >= first { // how busy the machine may be
		t.Errorf("the second start took %v, as long as the first, which builds: %v", second, first)
	}
	sameFiles(t, before, snapshot(t, dir))
}

// committed returns the sum of the offsets that a group has committed.
func committed(t *testing.T, client *kgo.Client, group string) (n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range response.Groups {
		for _, topic := range g.Topics {
			for _, p := range topic.Partitions {
				n += max(0, p.Offset)
			}
		}
	}
	return n
}
