package monitor

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
)

// api registers the paths below /api/v1/. Each answer is an object with its time of generation and the requested
// data.
func (m *monitor) api(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/info", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, m.info(r.Context()))
	})
	mux.HandleFunc("GET /api/v1/streams", func(w http.ResponseWriter, r *http.Request) {
		streams, at, err := m.cluster.streams.get(r.Context())
		answer(w, at, err, struct {
			generated
			Streams []inspect.Stream `json:"streams"`
		}{generated{at}, streams})
	})
	mux.HandleFunc("GET /api/v1/groups", func(w http.ResponseWriter, r *http.Request) {
		groups, at, err := m.cluster.groups.get(r.Context())
		answer(w, at, err, struct {
			generated
			Groups []inspect.Group `json:"groups"`
		}{generated{at}, groups})
	})
	mux.HandleFunc("GET /api/v1/schemas", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			generated
			Schemas []appinfo.Schema `json:"schemas"`
		}{generated{time.Now()}, m.app.Describe().Schemas})
	})
	mux.HandleFunc("GET /api/v1/subscriptions", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			generated
			Subscriptions []subscription `json:"subscriptions"`
		}{generated{time.Now()}, subscriptionsOf(m.app.Stats())})
	})
	mux.HandleFunc("GET /api/v1/logs", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			generated
			Logs []logQueue `json:"logs"`
		}{generated{time.Now()}, logQueues(m.monitoring)})
	})
}

// generated is the common part of all answers.
type generated struct {
	GeneratedAt time.Time `json:"generated_at"`
}

// answer writes v, or the error of the brokers.
func answer(w http.ResponseWriter, at time.Time, err error, v any) {
	if err != nil {
		writeJSON(w, http.StatusServiceUnavailable, struct {
			generated
			Error string `json:"error"`
		}{generated{at}, cut(err.Error())})
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// info describes the program and its connections.
type info struct {
	generated
	Program   string    `json:"program"`
	Version   string    `json:"version"`
	GoVersion string    `json:"go_version"`
	StartedAt time.Time `json:"started_at"`
	// Servers are the configured brokers.
	Servers          []string `json:"servers"`
	TopicPrefix      string   `json:"topic_prefix"`
	SecurityProtocol string   `json:"security_protocol"`
	// Brokers are the live brokers of the cluster; null, with the reason, when they could not be asked.
	Brokers      []inspect.Broker `json:"brokers"`
	BrokersError string           `json:"brokers_error,omitempty"`
	Connections  []connection     `json:"connections"`
	Ready        bool             `json:"ready"`
	Reasons      []reason         `json:"reasons"`
	Producer     producer         `json:"producer"`
}

// connection has the statistics of the connections to one address.
type connection struct {
	Address      string `json:"address"`
	Open         int    `json:"open"`
	Connects     uint64 `json:"connects"`
	Refused      uint64 `json:"refused"`
	ReadBytes    uint64 `json:"read_bytes"`
	WrittenBytes uint64 `json:"written_bytes"`
	Error        string `json:"error,omitempty"`
}

// producer is bus.ProducerStats.
type producer struct {
	BufferedRecords  int    `json:"buffered_records"`
	BufferedBytes    int64  `json:"buffered_bytes"`
	RequestsInFlight int    `json:"requests_in_flight"`
	Sent             uint64 `json:"sent"`
	Failed           uint64 `json:"failed"`
	Requests         uint64 `json:"requests"`
	Retries          uint64 `json:"retries"`
	Resets           uint64 `json:"resets"`
}

func (m *monitor) info(ctx context.Context) info {
	stats, described := m.app.Stats(), m.app.Describe()
	i := info{
		generated: generated{time.Now()},
		Program:   filepath.Base(os.Args[0]), Version: buildinfo.Version(), GoVersion: runtime.Version(),
		StartedAt: m.started,
		Servers:   described.Servers, TopicPrefix: described.TopicPrefix, SecurityProtocol: described.SecurityProtocol,
		Connections: []connection{}, Reasons: append([]reason{}, notReady(&stats, m.monitoring)...),
		Producer: producer{stats.Producer.Records, stats.Producer.Bytes, stats.Producer.InFlight, stats.Producer.Sent,
			stats.Producer.Failed, stats.Producer.Requests, stats.Producer.Retries, stats.Producer.Resets},
	}
	i.Ready = len(i.Reasons) == 0
	for _, c := range m.monitoring.Connections() {
		row := connection{Address: c.Address, Open: c.Open, Connects: c.Connects, Refused: c.Refused,
			ReadBytes: c.Read, WrittenBytes: c.Written}
		if c.Err != nil {
			row.Error = cut(c.Err.Error())
		}
		i.Connections = append(i.Connections, row)
	}
	brokers, _, err := m.cluster.info.get(ctx)
	if i.Brokers = brokers.Brokers; err != nil {
		i.BrokersError = cut(err.Error())
	}
	return i
}

// subscription is bus.SubscriptionStats. The time of an event that has not happened is null.
type subscription struct {
	Patterns      []string    `json:"patterns"`
	Group         string      `json:"group"`
	Handler       string      `json:"handler"`
	State         string      `json:"state"`
	MemberID      string      `json:"member_id"`
	Generation    int32       `json:"generation"`
	Protocol      string      `json:"protocol"`
	Leader        bool        `json:"leader"`
	Rebalances    uint64      `json:"rebalances"`
	Revoked       uint64      `json:"revoked"`
	Lost          uint64      `json:"lost"`
	LastRebalance *time.Time  `json:"last_rebalance"`
	LastHeartbeat *time.Time  `json:"last_heartbeat"`
	LastCommit    *time.Time  `json:"last_commit"`
	Streams       []string    `json:"streams"`
	Partitions    []partition `json:"partitions"`
	Lag           int64       `json:"lag"`
	InFlight      int         `json:"in_flight"`
	Waiting       int         `json:"waiting"`
	Bytes         int64       `json:"bytes"`
	PausedSince   *time.Time  `json:"paused_since"`
	Abandoned     int         `json:"abandoned"`
	Finished      uint64      `json:"finished"`
	Rejected      uint64      `json:"rejected"`
	Postponed     uint64      `json:"postponed"`
	DeadLettered  uint64      `json:"dead_lettered"`
	Skipped       uint64      `json:"skipped"`
	Retried       uint64      `json:"retried"`
	Broken        uint64      `json:"broken"`
	OutOfRange    uint64      `json:"out_of_range"`
	LastError     string      `json:"last_error,omitempty"`
	LastErrorAt   *time.Time  `json:"last_error_at"`
}

// partition is bus.PartitionStats. Unknown numbers are null.
type partition struct {
	Stream    string     `json:"stream"`
	Partition int        `json:"partition"`
	Committed *int64     `json:"committed"`
	Watermark *int64     `json:"watermark"`
	Position  *int64     `json:"position"`
	End       *int64     `json:"end"`
	Lag       *int64     `json:"lag"`
	InFlight  int        `json:"in_flight"`
	Waiting   int        `json:"waiting"`
	Bytes     int64      `json:"bytes"`
	Paused    bool       `json:"paused"`
	Oldest    *time.Time `json:"oldest"`
	Blocked   string     `json:"blocked,omitempty"`
}

func subscriptionsOf(stats bus.Stats) []subscription {
	all := make([]subscription, len(stats.Subscriptions))
	for i := range all {
		s := &stats.Subscriptions[i]
		all[i] = subscription{
			Patterns: s.Patterns, Group: s.Group, Handler: s.Handler, State: s.State, MemberID: s.MemberID,
			Generation: s.Generation, Protocol: s.Protocol, Leader: s.Leader, Rebalances: s.Rebalances, Revoked: s.Revoked,
			Lost:          s.Lost,
			LastRebalance: known(s.LastRebalance), LastHeartbeat: known(s.LastHeartbeat), LastCommit: known(s.LastCommit),
			Streams: append([]string{}, s.Streams...), Partitions: []partition{}, Lag: s.Lag,
			InFlight: s.InFlight, Waiting: s.Waiting, Bytes: s.Bytes, PausedSince: known(s.PausedSince), Abandoned: s.Abandoned,
			Finished: s.Finished, Rejected: s.Rejected, Postponed: s.Postponed, DeadLettered: s.DeadLettered,
			Skipped: s.Skipped, Retried: s.Retried, Broken: s.Broken, OutOfRange: s.OutOfRange,
			LastErrorAt: known(s.LastErrorAt),
		}
		if s.LastError != nil {
			all[i].LastError = cut(s.LastError.Error())
		}
		for j := range s.Assigned {
			p := &s.Assigned[j]
			all[i].Partitions = append(all[i].Partitions, partition{
				Stream: p.Stream, Partition: p.Partition, Committed: offset(p.Committed), Watermark: offset(p.Watermark),
				Position: offset(p.Position), End: offset(p.End), Lag: offset(p.Lag), InFlight: p.InFlight, Waiting: p.Waiting,
				Bytes: p.Bytes, Paused: p.Paused, Oldest: known(p.Oldest), Blocked: cut(p.Blocked),
			})
		}
	}
	return all
}

// known returns nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// offset returns nil for -1.
func offset(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// logQueue is slogkafka.Stats, summed up over the handlers of a stream.
type logQueue struct {
	Stream          string            `json:"stream"`
	Accepted        uint64            `json:"accepted"`
	Recovered       uint64            `json:"recovered"`
	Delivered       uint64            `json:"delivered"`
	Dropped         uint64            `json:"dropped"`
	DroppedBy       map[string]uint64 `json:"dropped_by"`
	Spooled         uint64            `json:"spooled"`
	Queued          uint64            `json:"queued"`
	QueuedBytes     uint64            `json:"queued_bytes"`
	OldestSeconds   *float64          `json:"oldest_seconds"`
	Sampled         uint64            `json:"sampled"`
	Invalid         uint64            `json:"invalid"`
	Truncated       uint64            `json:"truncated"`
	Retries         uint64            `json:"retries"`
	Fallback        uint64            `json:"fallback"`
	FallbackDropped uint64            `json:"fallback_dropped"`
	Lost            uint64            `json:"lost"`
}

func logQueues(app monitoring.App) []logQueue {
	all := []logQueue{}
	for _, s := range sumLogs(app) {
		q := logQueue{
			Stream: s.stream, Accepted: s.Accepted, Recovered: s.Recovered, Delivered: s.Delivered, Dropped: s.Dropped,
			DroppedBy: s.DroppedBy, Spooled: s.Spooled, Queued: s.Queued, QueuedBytes: s.QueuedBytes, Sampled: s.Sampled,
			Invalid: s.Invalid, Truncated: s.Truncated, Retries: s.Retries, Fallback: s.Fallback,
			FallbackDropped: s.FallbackDropped, Lost: s.Lost,
		}
		if s.Oldest > 0 {
			q.OldestSeconds = new(s.Oldest.Seconds())
		}
		all = append(all, q)
	}
	return all
}
