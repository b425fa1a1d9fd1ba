package monitor_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// world is a prefix of a cluster that the test has for itself.
type world struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	prefix  string
}

func newWorld(t *testing.T, opts ...kafkatest.Option) *world {
	t.Helper()
	cluster := kafkatest.Start(t, opts...)
	return &world{t: t, cluster: cluster, prefix: cluster.Prefix(t)}
}

// app returns an App that is closed with the test.
func (w *world) app() *bus.App {
	app := bus.New(bus.Config{Servers: w.cluster.Servers(), TopicPrefix: w.prefix, Logger: testkit.Logger(w.t),
		DrainTimeout: time.Second, Settings: bus.Settings{"metadata_max_age_ms": 100, "heartbeat_interval_ms": 100}})
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := app.Close(ctx); err != nil {
			w.t.Log(err)
		}
	})
	return app
}

// group returns a group's name that no other test has.
func (w *world) group(name string) string { return w.prefix + name }

// run runs the App until the test or the returned function ends it.
func (w *world) run(app *bus.App) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := app.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	w.t.Cleanup(stop)
	return stop
}

// get asks the handler.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil))
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// series are values of metrics, by name and labels as in `name{label="value"}`; a histogram is its count.
type series map[string]float64

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, h http.Handler) series {
	t.Helper()
	answer := get(t, h, "/metrics")
	if answer.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := make(series)
	for name, family := range families {
		for _, m := range family.GetMetric() {
			found[name+labelsOf(m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return found
}

func labelsOf(m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if labels == nil {
		return ""
	}
	slices.Sort(labels)
	return "{" + strings.Join(labels, ",") + "}"
}

// of returns the series of one metric.
func (s series) of(name string) series {
	found := maps.Clone(s)
	maps.DeleteFunc(found, func(key string, _ float64) bool { return key != name && !strings.HasPrefix(key, name+"{") })
	return found
}

// sum returns the sum over the series of one metric that have these labels.
func (s series) sum(name string, labels ...string) (sum float64) {
	for key, value := range s.of(name) {
		if !slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(key, label) }) {
			sum += value
		}
	}
	return sum
}

func (s series) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(key, "kafkaesk_") {
			fmt.Fprintf(&b, "%s %v\n", key, s[key])
		}
	}
	return b.String()
}

// eventually scrapes until the series are as they should be.
func eventually(t *testing.T, h http.Handler, holds func(series) bool) {
	t.Helper()
	var s series
	testkit.Eventually(t, func() bool {
		s = scrape(t, h)
		return holds(s)
	}, func() string { return s.String() })
}
