package monitor

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
)

// reason is one of an answer of /livez or /readyz.
type reason struct {
	// Group is that of the subscription that it is about; "" when it is about no subscription.
	Group string `json:"group,omitempty"`
	Error string `json:"error"`
}

// healthAnswer is what /livez and /readyz answer.
type healthAnswer struct {
	OK      bool     `json:"ok"`
	Reasons []reason `json:"reasons"`
}

// notReady returns why the App cannot do its work now: what is unhealthy, that its subscriptions do not run, and that
// no broker answers, which the App's own health sees only when the session of a member is over.
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

// notLive returns what only a new process can mend. A broker that is away is none of it: after a restart it is away as
// well.
func notLive(stats *bus.Stats) []reason {
	var reasons []reason
	for i := range stats.Subscriptions {
		switch s := &stats.Subscriptions[i]; {
		case s.State == "dead" && stats.Running:
			reasons = append(reasons, reason{s.Group, "the member has ended, and the App runs on without it"})
		case s.Abandoned > 0:
			reasons = append(reasons, reason{s.Group,
				"handlers have not returned although their context ended, and hold up their partitions"})
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

// writeJSON answers with v, indented for people.
func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever asked is gone
}
