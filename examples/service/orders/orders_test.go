package orders_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/examples/service/orders"
)

// TestMain keeps what the service logs out of the tests' output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// quiet is for Apps whose log lines a test does not want.
func quiet() bustest.Option {
	return bustest.Config(bus.Config{Logger: slog.New(slog.DiscardHandler)})
}

// An order that comes in by HTTP is billed.
func TestAnOrderIsBilled(t *testing.T) {
	app := bustest.NewApp(t, quiet())
	api := httptest.NewServer(orders.New(app).Handler())
	t.Cleanup(api.Close)
	bustest.Run(t, app)

	if code, text := do(t, http.MethodPost, api.URL+"/orders", `{"id":"a1","amount":5}`); code != http.StatusAccepted {
		t.Fatalf("%d: %s", code, text)
	}
	if got := bustest.Published[orders.Invoice](t, app, orders.Billed,
		1); got[0] != (orders.Invoice{Order: "a1", Total: 5}) {
		t.Errorf("%+v", got)
	}
	if code, text := do(t, http.MethodGet, api.URL+"/orders/a1", ""); code != http.StatusOK ||
		text != `{"order":"a1","total":5}`+"\n" {
		t.Errorf("%d: %s", code, text)
	}
}

// An order that breaks its schema is refused at once, and what cannot be billed goes to the dead letters.
func TestOrdersThatAreRefused(t *testing.T) {
	app := bustest.NewApp(t, quiet())
	api := httptest.NewServer(orders.New(app).Handler())
	t.Cleanup(api.Close)
	bustest.Run(t, app)

	if code, text := do(t, http.MethodPost, api.URL+"/orders",
		`{"id":"a1","amount":0}`); code != http.StatusUnprocessableEntity || !strings.Contains(text, "amount") {
		t.Errorf("%d: %s", code, text)
	}
	if code, _ := do(t, http.MethodPost, api.URL+"/orders", `nonsense`); code != http.StatusBadRequest {
		t.Errorf("%d", code)
	}
	if code, text := do(t, http.MethodPost, api.URL+"/orders", `{"id":"a2","amount":5000}`); code != http.StatusAccepted {
		t.Fatalf("%d: %s", code, text)
	}
	if got := bustest.Published[orders.Order](t, app, orders.Placed+".billing.dead", 1); got[0].ID != "a2" {
		t.Errorf("%+v", got)
	}
}

// The API listens while the App runs, and its end ends it.
func TestServe(t *testing.T) {
	app := bustest.NewApp(t, quiet())
	orders.Serve(app, orders.New(app).Handler(), "127.0.0.1:0")
	bustest.Run(t, app)
}

func do(t *testing.T, method, url, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}
