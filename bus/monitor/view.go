package monitor

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
)

// view is the content of the page, as texts. The page's template and its script both render it, so that a reader
// without JavaScript sees the same.
type view struct {
	Program  string    `json:"program"`
	State    cell      `json:"state"`
	Facts    string    `json:"facts"`
	Sections []section `json:"sections"`
}

// section is a table.
type section struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Note    string   `json:"note"`  // explanation or advice
	Empty   string   `json:"empty"` // shown instead of rows
	Columns []column `json:"columns"`
	Rows    []row    `json:"rows"`
	// Omitted describes the rows that are left out; "" for none.
	Omitted string `json:"omitted"`
}

type column struct {
	Name   string `json:"name"`
	Number bool   `json:"number"`
}

// row has a cell for each column.
type row struct {
	Key   string `json:"key"`
	Cells []cell `json:"cells"`
}

// cell is a text in the color of its class: good, warn, bad or dim. Trend is the points of a line beside it.
type cell struct {
	Text  string `json:"text"`
	Class string `json:"class,omitempty"`
	Trend string `json:"trend,omitempty"`
}

// maxRows bounds a table; the API returns all rows.
const maxRows = 200

// Each text of the page passes through one of these functions. Names and errors may come from anyone who writes to
// Kafka: control characters are shown as escapes.
func text(s string) cell { return cell{Text: string(logtext.AppendText(nil, s))} }

func (c cell) as(class string) cell {
	c.Class = class
	return c
}

func number[N int | int64 | uint64](n N) cell { return cell{Text: grouped(int64(n))} }

// grouped writes a number with a comma between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// count returns a number that has the class unless it is 0.
func count[N int | int64 | uint64](n N, class string) cell {
	if n == 0 {
		return number(n).as("dim")
	}
	return number(n).as(class)
}

var unknown = cell{Text: "-", Class: "dim"}

// age formats an age.
func age(d time.Duration) cell {
	switch d = max(d, 0); {
	case d < time.Second:
		return cell{Text: "<1s"}
	case d < 2*time.Minute:
		return cell{Text: d.Truncate(time.Second).String()}
	case d < 2*time.Hour:
		return cell{Text: fmt.Sprintf("%dm", int(d.Minutes()))}
	case d < 48*time.Hour:
		return cell{Text: fmt.Sprintf("%dh", int(d.Hours()))}
	}
	return cell{Text: fmt.Sprintf("%dd", int(d.Hours()/24))}
}

// since formats the age of a time; unknown for nil.
func since(now time.Time, at *time.Time) cell {
	if at == nil || at.IsZero() {
		return unknown
	}
	return age(now.Sub(*at))
}

func (m *monitor) rate(name string) cell {
	perSecond, known := m.history.rate(name)
	switch {
	case !known:
		return unknown
	case perSecond == 0:
		return cell{Text: "0", Class: "dim"}
	case perSecond < 10:
		return cell{Text: strconv.FormatFloat(perSecond, 'f', 1, 64)}
	}
	return number(int64(perSecond + 0.5))
}

// view makes the page of what is known now. It asks no broker.
func (m *monitor) view() view {
	now, stats := time.Now(), m.app.Stats()
	m.history.addSample(now, &stats, m.events.streams.all())
	groups, _, groupsErr := m.cluster.groups.last()
	streams, _, streamsErr := m.cluster.streams.last()
	dead, _, deadErr := m.cluster.dead.last()
	reasons := notReady(&stats, m.monitoring)
	v := view{Program: text(filepath.Base(os.Args[0])).Text, State: cell{Text: "ready", Class: "good"}}
	if len(reasons) > 0 {
		v.State = cell{Text: "not ready", Class: "bad"}
	}
	described := m.app.Describe()
	v.Facts = text(fmt.Sprintf("kafkaesk %s, %s, up for %s. Servers %s, topic prefix %q. As of %s.", buildinfo.Version(),
		runtime.Version(), age(now.Sub(m.started)).Text, strings.Join(described.Servers, ", "), described.TopicPrefix,
		now.UTC().Format("2006-01-02 15:04:05 UTC"))).Text
	v.Sections = []section{
		problemSection(now, &stats, reasons, groupsErr, streamsErr, deadErr),
		m.groupSection(now, &stats, groups),
		m.streamSection(now, &stats, streams),
		memberSection(groups),
		partitionSection(groups),
		deadSection(now, dead),
		logSection(m.monitoring),
		producerSection(&stats.Producer),
		schemaSection(described.Schemas),
		connectionSection(m.monitoring),
	}
	for i := range v.Sections {
		v.Sections[i].bound()
	}
	return v
}

func (s *section) bound() {
	if n := len(s.Rows); n > maxRows {
		s.Rows, s.Omitted = s.Rows[:maxRows], fmt.Sprintf("%d more; the API has all of them", n-maxRows)
	}
	if s.Rows == nil {
		s.Rows = []row{} // [] and not null for the script
	}
}

func (s *section) add(key string, cells ...cell) {
	s.Rows = append(s.Rows, row{text(key).Text, cells})
}

func left(names ...string) (all []column) {
	for _, name := range names {
		all = append(all, column{Name: name})
	}
	return all
}

func right(names ...string) (all []column) {
	for _, name := range names {
		all = append(all, column{name, true})
	}
	return all
}

// problemSection lists the current problems, and the last error of each subscription.
func problemSection(now time.Time, stats *bus.Stats, reasons []reason, ofCluster ...error) section {
	s := section{ID: "problems", Title: "What is wrong", Empty: "Nothing.",
		Note: "Errors say what to change.", Columns: slices.Concat(left("About"), right("Age"), left("Error"))}
	add := func(about string, at *time.Time, what, class string) {
		key := fmt.Sprint(about, " ", len(s.Rows))
		s.add(key, text(about), since(now, at), text(what).as(class))
	}
	for _, r := range reasons {
		add(cmp.Or(r.Group, "App"), nil, r.Error, "bad")
	}
	reported := make(map[string]bool) // one broker that is away is why each of them failed
	for _, err := range ofCluster {
		if err != nil && !reported[err.Error()] {
			reported[err.Error()] = true
			add("Brokers", nil, cut(err.Error()), "bad")
		}
	}
	for i := range stats.Subscriptions {
		sub := &stats.Subscriptions[i]
		for j := range sub.Assigned {
			if p := &sub.Assigned[j]; p.Blocked != "" {
				add(fmt.Sprintf("%s, %s/%d", sub.Group, p.Stream, p.Partition), known(p.Oldest), cut(p.Blocked), "bad")
			}
		}
		if sub.LastError != nil {
			add(sub.Group+", last error", known(sub.LastErrorAt), cut(sub.LastError.Error()), "warn")
		}
	}
	return s
}

// groupSection shows the App's groups: the brokers' view, or the App's own while it is missing.
func (m *monitor) groupSection(now time.Time, stats *bus.Stats, groups []inspect.Group) section {
	s := section{ID: "groups", Title: "Groups", Empty: "The App has no subscriptions.",
		Note: "Lag and the oldest record are those of the whole group; the trend and what follows are this process's.",
		Columns: slices.Concat(left("Group", "State"), right("Members", "Lag"), left("Lag trend"), right("Oldest"),
			left("Oldest trend"), right("Handled/s", "Running", "Waiting", "Retried", "Rejected", "Dead letters"))}
	for _, g := range sumGroups(stats, m.monitoring.Problems()) {
		state, members, oldest := g.State, unknown, unknown
		var lag int64
		for i := range g.Assigned {
			lag += max(g.Assigned[i].Lag, 0)
		}
		if at := oldestOf(&g.SubscriptionStats); !at.IsZero() {
			oldest = age(now.Sub(at))
		}
		if i := slices.IndexFunc(groups, func(o inspect.Group) bool { return o.Group == g.group }); i >= 0 {
			seen := &groups[i]
			state, members = strings.ToLower(seen.State), number(len(seen.Members))
			if seen.Lag != nil {
				lag = *seen.Lag
			}
			if seen.AgeSeconds != nil && lag > 0 {
				oldest = age(time.Duration(*seen.AgeSeconds * float64(time.Second)))
			}
		}
		class := "good"
		if !g.healthy {
			class = "bad"
		}
		if lag == 0 {
			oldest = unknown
		}
		s.add(g.group, text(g.group), text(state).as(class), members, number(lag),
			cell{Trend: m.history.trend(lagOf(g.group))}, oldest, cell{Trend: m.history.trend(ageOf(g.group))},
			m.rate(finishedOf(g.group)), number(g.InFlight), number(g.Waiting), count(g.Retried, "warn"),
			count(g.Rejected, "bad"), count(g.DeadLettered, "bad"))
	}
	return s
}

func (m *monitor) streamSection(now time.Time, stats *bus.Stats, streams []inspect.Stream) section {
	s := section{ID: "streams", Title: "Streams", Empty: "The App knows no stream yet.",
		Note: "Published and handled are this process's.",
		Columns: slices.Concat(left("Stream", "Schema", "Groups"), right("Partitions", "Records", "Published/s", "Handled/s",
			"Last record", "Retention"))}
	for i := range stats.Streams {
		known := &stats.Streams[i]
		partitions, records, last, retention := unknown, unknown, unknown, unknown
		if known.Partitions > 0 {
			partitions = number(known.Partitions)
		}
		if i := slices.IndexFunc(streams, func(o inspect.Stream) bool { return o.Stream == known.Stream }); i >= 0 {
			seen := &streams[i]
			partitions, last = number(seen.Partitions), since(now, seen.LastRecordTime)
			if seen.WithoutLeader > 0 {
				partitions = cell{fmt.Sprintf("%d, %d without leader", seen.Partitions, seen.WithoutLeader), "bad", ""}
			}
			if seen.Records != nil {
				records = number(*seen.Records)
			}
			if ms := seen.RetentionMS; ms != nil && *ms < 0 {
				retention = cell{Text: "for ever"}
			} else if ms != nil {
				retention = age(time.Duration(*ms) * time.Millisecond)
			}
		}
		s.add(known.Stream, text(known.Stream), text(known.Schema), text(strings.Join(known.Groups, ", ")), partitions,
			records, m.rate(publishedOf(known.Stream)), m.rate(consumedOf(known.Stream)), last, retention)
	}
	return s
}

func memberSection(groups []inspect.Group) section {
	s := section{ID: "members", Title: "Members", Empty: "No group has members.",
		Columns: slices.Concat(left("Group", "Member", "Host"), right("Partitions"), left("Assigned"))}
	for i := range groups {
		for _, m := range groups[i].Members {
			n := number(len(m.Partitions))
			if len(m.Partitions) == 0 {
				n = n.as("warn")
			}
			s.add(groups[i].Group+" "+m.MemberID, text(groups[i].Group), text(m.ClientID), text(m.Host), n,
				text(ranges(m.Partitions)))
		}
	}
	return s
}

// ranges formats partitions, as in "content 0-3 5, orders 2".
func ranges(partitions []inspect.Partition) string {
	const most = 400
	var b strings.Builder
	for i := 0; i < len(partitions); {
		p, end := partitions[i], i+1
		for end < len(partitions) && partitions[end].Stream == p.Stream &&
			partitions[end].Partition == partitions[end-1].Partition+1 {
			end++
		}
		switch {
		case i == 0:
			b.WriteString(p.Stream)
		case partitions[i-1].Stream != p.Stream:
			b.WriteString(", " + p.Stream)
		}
		fmt.Fprintf(&b, " %d", p.Partition)
		if end > i+1 {
			fmt.Fprintf(&b, "-%d", partitions[end-1].Partition)
		}
		if i = end; b.Len() > most {
			return b.String() + ", ..."
		}
	}
	return b.String()
}

// partitionSection lists the partitions with a lag, the largest first.
func partitionSection(groups []inspect.Group) section {
	s := section{ID: "partitions", Title: "Partitions that are behind", Empty: "None.",
		Columns: slices.Concat(left("Group", "Stream"), right("Partition", "Committed", "End", "Lag", "Oldest"),
			left("Member", "Note"))}
	var behind []inspect.Lag
	for i := range groups {
		for _, p := range groups[i].Partitions {
			if p.Lag == nil && p.Note != "" && p.End != nil && *p.End > 0 || p.Lag != nil && *p.Lag > 0 {
				behind = append(behind, p)
			}
		}
	}
	value := func(n *int64) int64 {
		if n == nil {
			return -1
		}
		return *n
	}
	slices.SortStableFunc(behind, func(a, b inspect.Lag) int { return cmp.Compare(value(b.Lag), value(a.Lag)) })
	optional := func(n *int64) cell {
		if n == nil {
			return unknown
		}
		return number(*n)
	}
	for _, p := range behind {
		oldest := unknown
		if p.AgeSeconds != nil {
			oldest = age(time.Duration(*p.AgeSeconds * float64(time.Second)))
		}
		s.add(fmt.Sprintf("%s %s/%d", p.Group, p.Stream, p.Partition), text(p.Group), text(p.Stream),
			number(int(p.Partition)), optional(p.Committed), optional(p.End), optional(p.Lag), oldest, text(p.ClientID),
			text(p.Note).as("dim"))
	}
	return s
}

func deadSection(now time.Time, dead []inspect.DeadLetters) section {
	s := section{ID: "dead", Title: "Dead letters", Empty: "None.",
		Note: "Open ones have been neither replayed nor dropped: kafkaesk dead show STREAM GROUP prints them with their " +
			"errors. Where very many have been, the page does not count them, and kafkaesk dead does.",
		Columns: slices.Concat(left("Stream", "Group"), right("Open", "Records", "Oldest", "Newest"))}
	for _, d := range dead {
		open := unknown
		if d.Open != nil {
			open = count(*d.Open, "bad")
		}
		s.add(d.DeadStream, text(d.Stream), text(d.Group), open, number(d.Records), since(now, d.Oldest),
			since(now, d.Newest))
	}
	return s
}

func logSection(app monitoring.App) section {
	s := section{ID: "logs", Title: "Log queues", Empty: "No log handler ships through the App.",
		Columns: slices.Concat(left("Stream"), right("Accepted", "Delivered", "Queued", "Oldest", "Spooled", "Sampled",
			"Invalid", "Dropped", "Lost"), left("Dropped because"))}
	for _, l := range sumLogs(app) {
		oldest := unknown
		if l.Oldest > 0 {
			oldest = age(l.Oldest)
		}
		var reasons []string
		for reason, n := range l.DroppedBy {
			reasons = append(reasons, fmt.Sprintf("%s %s", reason, grouped(int64(n))))
		}
		slices.Sort(reasons)
		s.add(l.stream, text(l.stream), number(l.Accepted), number(l.Delivered), number(l.Queued), oldest, number(l.Spooled),
			number(l.Sampled), count(l.Invalid, "warn"), count(l.Dropped, "bad"), count(l.Lost, "bad"),
			text(strings.Join(reasons, ", ")))
	}
	return s
}

func producerSection(p *bus.ProducerStats) section {
	s := section{ID: "producer", Title: "Producer",
		Columns: right("Buffered records", "Buffered bytes", "Requests in flight", "Acknowledged", "Failed", "Sent again",
			"Resets")}
	s.add("producer", number(p.Records), cell{Text: logtext.Size(int(p.Bytes))}, number(p.InFlight), number(p.Sent),
		count(p.Failed, "bad"), count(p.Retries, "warn"), count(p.Resets, "warn"))
	return s
}

func schemaSection(schemas []appinfo.Schema) section {
	s := section{ID: "schemas", Title: "Schemas", Empty: "The App declares none.",
		Note: "api/v1/schemas has their JSON Schemas.", Columns: slices.Concat(left("Schema", "Streams"), right("Retention"))}
	for i := range schemas {
		d := &schemas[i]
		retention := cell{Text: "the broker's", Class: "dim"}
		if d.RetentionMS > 0 {
			retention = age(d.Retention())
		}
		s.add(d.Name(), text(d.Name()), text(strings.Join(d.Streams, ", ")), retention)
	}
	return s
}

func connectionSection(app monitoring.App) section {
	s := section{ID: "connections", Title: "Connections", Empty: "There are none yet.",
		Columns: slices.Concat(left("Broker"), right("Open", "Made", "Failed", "Read", "Written"), left("Last error"))}
	for _, c := range app.Connections() {
		failure := cell{}
		if c.Err != nil {
			failure = text(cut(c.Err.Error())).as("bad")
		}
		s.add(c.Address, text(c.Address), number(c.Open), number(c.Connects), count(c.Refused, "warn"),
			cell{Text: logtext.Size(int(c.Read))}, cell{Text: logtext.Size(int(c.Written))}, failure)
	}
	return s
}
