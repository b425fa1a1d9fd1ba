package monitor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
)

var dashboards = filepath.Join("..", "..", "dashboards")

// promtool runs Prometheus' own checker, which says nothing where all is well.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool here: apt-get install prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The rules are valid, and each alert fires when it should and not before.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", filepath.Join(dashboards, "alerts.yml"))
	promtool(t, "test", "rules", filepath.Join(dashboards, "alerts_test.yml"))
}

// queries returns what the dashboard asks Prometheus.
func queries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dashboards, "kafkaesk.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 20 {
		t.Fatalf("the dashboard has %d queries", len(all))
	}
	return all
}

// Prometheus takes each query of the dashboard.
func TestTheDashboardsQueriesAreValid(t *testing.T) {
	t.Parallel()
	replace := strings.NewReplacer("$__rate_interval", "1m", "$group", ".*", "$stream", ".*")
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, query := range queries(t) {
		rules += fmt.Sprintf("  - record: query:%d\n    expr: %q\n", i, replace.Replace(query))
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// Dashboard and alerts name metrics that there are, and each alert has its section in the runbook.
func TestDashboardAndAlertsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	names := monitor.MetricNames(bus.New(bus.Config{}))
	alerts := read(filepath.Join(dashboards, "alerts.yml"))
	for _, text := range append(queries(t), alerts, read(filepath.Join(dashboards, "alerts_test.yml"))) {
		for _, name := range regexp.MustCompile(`\bkafkaesk_[a-z_]+`).FindAllString(text, -1) {
			if !slices.Contains(names, strings.TrimSuffix(name, "_bucket")) {
				t.Errorf("there is no metric %s", name)
			}
		}
	}
	runbook := read(filepath.Join("..", "..", "docs", "operations.md"))
	found := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(alerts, -1)
	if len(found) < 4 {
		t.Errorf("%d alerts", len(found))
	}
	for _, alert := range found {
		if !strings.Contains(runbook, "\n### "+alert[1]+"\n") ||
			!strings.Contains(alerts, "operations.md#"+strings.ToLower(alert[1])+"\n") {
			t.Errorf("alert %s has no section in docs/operations.md, or does not lead there", alert[1])
		}
	}
}
