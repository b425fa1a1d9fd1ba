package monitor_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// shop is an App of a module of its own. Its handler waits for a line from standard input, once.
const shop = `package shop

import (
	"bufio"
	"context"
	"os"
	"sync"

	"github.com/kafkaesk/kafkaesk/bus"
)

var wait sync.Once

func App() (*bus.App, error) {
	app := bus.New(bus.Config{Settings: bus.Settings{"heartbeat_interval_ms": 100}})
	return app, bus.Subscribe(app, "orders", handle, bus.Group(os.Getenv("SHOP_GROUP")))
}

func handle(context.Context, *bus.Record) error {
	wait.Do(func() { _, _ = bufio.NewReader(os.Stdin).ReadString('\n') })
	return nil
}
`

// outside makes a module outside of this repository that requires it, and builds the command kafkaesk.
func outside(t *testing.T) (module, kafkaesk string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	const path = "github.com/kafkaesk/kafkaesk"
	module, kafkaesk = filepath.Join(t.TempDir(), "shop"), filepath.Join(t.TempDir(), "kafkaesk")
	gomod, err1 := os.ReadFile(filepath.Join(root, "go.mod"))
	gosum, err2 := os.ReadFile(filepath.Join(root, "go.sum"))
	gomod = []byte(strings.Replace(string(gomod), "module "+path, "module example.com/shop", 1) +
		"\nrequire " + path + " v0.0.0\n\nreplace " + path + " => " + root + "\n")
	if err := errors.Join(err1, err2, os.MkdirAll(filepath.Join(module, "shop"), 0o755),
		os.WriteFile(filepath.Join(module, "go.mod"), gomod, 0o600),
		os.WriteFile(filepath.Join(module, "go.sum"), gosum, 0o600),
		os.WriteFile(filepath.Join(module, "shop", "shop.go"), []byte(shop), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", kafkaesk, "./cmd/kafkaesk")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return module, kafkaesk
}

// process is a worker, which as a handler passes requests on to its monitor.
type process struct {
	url     string
	release io.Writer
}

var listens = regexp.MustCompile(`url=(http://[^ ]+)/`)

// start runs kafkaesk ./shop:App --listen until the test ends.
func (w *world) start(module, kafkaesk string) *process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, kafkaesk, "./shop:App", "--listen", ":0", "--topic-prefix", w.prefix)
	cmd.Dir = module
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	gocache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "GOCACHE="+strings.TrimSpace(string(gocache)), "XDG_CACHE_HOME="+filepath.Dir(module),
		"KAFKAESK_KAFKA_SERVERS="+strings.Join(w.cluster.Servers(), ","),
		"SHOP_GROUP="+w.group("orders"))
	stdin, err1 := cmd.StdinPipe()
	stderr, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		w.t.Fatal(err)
	}
	read := make(chan struct{})
	w.t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait() // it was killed
	})
	p, found := &process{release: stdin}, make(chan string, 1)
	go func() {
		defer close(read)
		var said strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if url := listens.FindStringSubmatch(lines.Text()); url != nil && len(found) == 0 {
				found <- url[1]
			}
		}
		if len(found) == 0 {
			found <- said.String()
		}
	}()
	if p.url = <-found; !strings.HasPrefix(p.url, "http://127.0.0.1:") {
		w.t.Fatalf("the worker has said\n%s", p.url)
	}
	return p
}

func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.url+r.URL.Path, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// An App of a module outside of this repository, run by kafkaesk ./pkg:App --listen: its lag while its handler is
// blocked and after, the series of partitions that another process gets, and that it is not ready while the broker is
// away.
func TestAnAppOfAnotherModule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kafkatest.Own())
	if !w.cluster.CanKill() {
		t.Skip("this cluster cannot be killed")
	}
	at := time.Now().Add(-10 * time.Second).Truncate(time.Millisecond)
	publish(t, w.app(), "orders", 3, at)
	module, kafkaesk := outside(t)
	first := w.start(module, kafkaesk)
	eventually(t, first, func(s series) bool {
		return s.sum(lag) == 3 && len(s.of(lag)) == 7 && len(s.of(oldest)) == 1 &&
			s.sum(oldest) == float64(at.UnixMilli())/1000
	})
	becomes(t, first, http.StatusOK, "")
	if _, err := io.WriteString(first.release, "go on\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, first, func(s series) bool { return s.sum(lag) == 0 && len(s.of(oldest)) == 0 })

	second := w.start(module, kafkaesk)
	eventually(t, second, func(s series) bool { return len(s.of(lag)) > 0 })
	eventually(t, first, func(s series) bool { return len(s.of(lag)) == 3 || len(s.of(lag)) == 4 })

	w.cluster.Kill(0)
	becomes(t, first, http.StatusServiceUnavailable, "")
	if a := ask(t, first, "/livez"); a.code != http.StatusOK {
		t.Errorf("/livez while the broker is away: %+v", a)
	}
	w.cluster.Restart(0)
	becomes(t, first, http.StatusOK, "")
	testkit.Until(t, "the page", func() bool { return get(t, first, "/").Code == http.StatusOK })
}
