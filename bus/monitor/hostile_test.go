package monitor_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// A name that no stream can have is an error of what uses it. No scrape and no page fails for it.
func TestNoNameMakesAScrapeFail(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = app.Close(t.Context()) })
	h := monitor.Handler(app, monitor.PythonMetrics())
	logs := slogkafka.NewHandler(app, "logs\xff", slogkafka.WhenConfigured())
	slog.New(logs).Info("a")
	_ = app.PublishRaw(t.Context(), "content\xff", []byte("{}"))
	for _, path := range []string{"/metrics", "/", "/api/v1/logs", "/api/v1/streams", "/api/v1/info", "/readyz"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
		if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
