package monitor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// health is an answer of /livez or /readyz.
type health struct {
	code    int
	OK      bool
	Reasons []struct{ Group, Error string }
}

func ask(t *testing.T, h http.Handler, path string) health {
	t.Helper()
	answer := get(t, h, path)
	a := health{code: answer.Code}
	if err := json.Unmarshal(answer.Body.Bytes(), &a); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if a.OK != (a.code == http.StatusOK) || a.OK != (len(a.Reasons) == 0) || a.Reasons == nil {
		t.Errorf("%s contradicts itself: %+v", path, a)
	}
	return a
}

// becomes waits until the App is ready or not, and why.
func becomes(t *testing.T, h http.Handler, code int, why string) {
	t.Helper()
	var a health
	testkit.Eventually(t, func() bool {
		a = ask(t, h, "/readyz")
		return a.code == code && strings.Contains(fmt.Sprint(a.Reasons), why)
	}, func() string { return fmt.Sprintf("%+v, want %d and %q", a, code, why) })
}

// An App is ready while it runs and the broker answers. A broker that is away is no reason to be restarted.
func TestReadyWhileTheBrokerIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kafkatest.Own())
	if !w.cluster.CanKill() {
		t.Skip("this cluster cannot be killed")
	}
	app := w.app()
	bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error { return nil }, bus.Group(w.group("g")))
	h := monitor.Handler(app)
	becomes(t, h, http.StatusServiceUnavailable, "not initialized")
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	becomes(t, h, http.StatusServiceUnavailable, "the App has subscriptions, and is not running")
	publish(t, app, "content", 1, time.Now())
	stop := w.run(app)
	becomes(t, h, http.StatusOK, "")
	w.cluster.Kill(0)
	becomes(t, h, http.StatusServiceUnavailable, "no broker answers")
	if a := ask(t, h, "/livez"); a.code != http.StatusOK {
		t.Errorf("/livez while the broker is away: %+v", a)
	}
	if s := scrape(t, h); s["kafkaesk_ready"] != 0 {
		t.Error("kafkaesk_ready is 1 while the broker is away")
	}
	w.cluster.Restart(0)
	becomes(t, h, http.StatusOK, "")
	stop()
	becomes(t, h, http.StatusServiceUnavailable, "not running")
}

// A handler that ignores the end of its context holds up its partition until the process ends.
func TestAnAbandonedHandlerIsAReasonToRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, release, group := w.app(), make(chan struct{}), w.group("g")
	bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error {
		<-release
		return nil
	}, bus.Group(group), bus.Timeout(10*time.Millisecond))
	h := monitor.Handler(app)
	publish(t, app, "content", 1, time.Now())
	w.run(app)
	eventually(t, h, func(s series) bool { return s.sum("kafkaesk_consumer_running_handlers") == 1 })
	if a := ask(t, h, "/livez"); a.code != http.StatusOK {
		t.Errorf("%+v", a)
	}
	stopped := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	go func() {
		defer close(stopped)
		_ = app.Close(ctx)
	}()
	var a health
	testkit.Eventually(t, func() bool {
		a = ask(t, h, "/livez")
		return a.code == http.StatusServiceUnavailable && len(a.Reasons) == 1 && a.Reasons[0].Group == group
	}, func() string { return fmt.Sprintf("%+v", a) })
	close(release)
	<-stopped
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	t.Parallel()
	h := monitor.Handler(bus.New(bus.Config{}))
	for _, path := range []string{"/metrics", "/livez", "/readyz"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := serve(h, r).Code; got != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, got)
		}
	}
}

// A page of another site in a browser on this machine, with a name that points to loopback, reads nothing.
func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	h := monitor.Handler(bus.New(bus.Config{}), monitor.Hosts("monitor.example"))
	server := httptest.NewServer(h) // on loopback
	t.Cleanup(server.Close)
	for host, want := range map[string]int{"evil.example": 403, "monitor.example": 200, "localhost:9100": 200} {
		for _, path := range []string{"/metrics", "/livez"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s of %s: %d, want %d", path, host, answer.StatusCode, want)
			}
		}
	}
}
