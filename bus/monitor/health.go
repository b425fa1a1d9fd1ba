package monitor

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
)

// reason is one reason of /livez or /readyz.
type reason struct {
	// Group is the group of the affected subscription; "" if it is not about a subscription.
	Group string `json:"group,omitempty"`
	Error string `json:"error"`
}

// healthAnswer is the answer of /livez and /readyz.
type healthAnswer struct {
	OK      bool     `json:"ok"`
	Reasons []reason `json:"reasons"`
}

// notReady returns the reasons why the App cannot work now: it is unhealthy, its subscriptions do not run, or no
// broker answers. The App's own health reports the last one only when a member's session has expired.
func notReady(stats *bus.Stats, app monitoring.App) []reason {
	var reasons []reason
	for _, p := range app.Problems() {
		reasons = append(reasons, reason{p.Group, cut(p.Err.Error())})
	}
	if len(stats.Subscriptions) > 0 && !stats.Running && stats.Initialized {
		reasons = append(reasons, reason{Error: "the App has subscriptions, and is not running"})
	}
	answers := func(c kafka.ConnStats) bool { return c.Err == nil }
	if c := app.Connections(); len(c) > 0 && !slices.ContainsFunc(c, answers) {
		reasons = append(reasons, reason{Error: cut("no broker answers: " + c[0].Err.Error())})
	}
	return reasons
}

// notLive returns the problems that only a new process can fix. An unreachable broker is none of them: it is still
// unreachable after a restart.
func notLive(stats *bus.Stats) []reason {
	var reasons []reason
	for i := range stats.Subscriptions {
		switch s := &stats.Subscriptions[i]; {
		case s.State == "dead" && stats.Running:
			reasons = append(reasons, reason{s.Group, "the member has ended, and the App runs on without it"})
		case s.Abandoned > 0:
			reasons = append(reasons, reason{s.Group,
				"handlers have not returned although their context ended, and block their partitions"})
		}
	}
	return reasons
}

// maxError bounds the text of an error, which may quote a record.
const maxError = 2 << 10

func cut(text string) string {
	if len(text) <= maxError {
		return text
	}
	return text[:maxError] + "..."
}

func (m *monitor) livez(w http.ResponseWriter, _ *http.Request) {
	stats := m.app.Stats()
	answerHealth(w, notLive(&stats))
}

func (m *monitor) readyz(w http.ResponseWriter, _ *http.Request) {
	stats := m.app.Stats()
	answerHealth(w, notReady(&stats, m.monitoring))
}

func answerHealth(w http.ResponseWriter, reasons []reason) {
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, healthAnswer{OK: len(reasons) == 0, Reasons: append([]reason{}, reasons...)})
}

// writeJSON writes v, indented for people.
func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client has disconnected
}
