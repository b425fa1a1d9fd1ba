package inspect

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Lag is the lag of a group in one partition.
type Lag struct {
	Group     string `json:"group"`
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	// Committed is the offset of the next record to handle; null without a committed offset.
	Committed *int64 `json:"committed"`
	// End is the offset of the next record to be written; null if the lookup failed.
	End *int64 `json:"end"`
	// Lag is End minus Committed; null when one of them is.
	Lag *int64 `json:"lag"`
	// AgeSeconds is the age of the oldest unhandled record, by its timestamp and this machine's clock;
	// 0 when no record waits, and null when the age is unknown.
	AgeSeconds *float64 `json:"age_seconds"`
	// MemberID, ClientID and Host describe the member that has the partition; empty for an unassigned partition.
	MemberID string `json:"member_id"`
	ClientID string `json:"client_id"`
	Host     string `json:"host"`
	// Note is the reason for an unknown number; empty when all are known.
	Note string `json:"note,omitempty"`
}

// Lag returns the lag of the named groups, or of all that read a stream of the prefix, sorted by group, stream and
// partition.
func (i *Inspector) Lag(ctx context.Context, groups ...string) ([]Lag, error) {
	found, err := i.Groups(ctx, groups...)
	if err != nil {
		return nil, err
	}
	rows := []Lag{}
	for _, g := range found {
		rows = append(rows, g.Partitions...)
	}
	return rows, nil
}

// The reasons for an unknown number.
const (
	noteNoCommit    = "the group has committed no offset"
	noteNoEnd       = "the lookup of the partition's end failed"
	noteTransaction = "the oldest record may belong to an open transaction"
	noteNoRecord    = "the oldest record could not be read, or has no time"
)

// measure fills in the partitions of groups. It looks up ends after the committed offsets, so that the offset of a
// group that keeps up is never beyond the end.
func (i *Inspector) measure(ctx context.Context, looked []inspectedGroup) {
	wanted := make(map[kafka.TopicPartition]bool)
	for n := range looked {
		for tp := range looked[n].owners {
			wanted[tp] = true
		}
	}
	parts := slices.SortedFunc(maps.Keys(wanted), kafka.TopicPartition.Compare)
	highest, _ := i.client.HighWatermarks(ctx, parts)
	firsts, readable := i.bounds(ctx, parts)
	m := measuring{inspector: i, highest: highest, firsts: firsts, readable: readable}
	m.readOldest(ctx, looked)
	for n := range looked {
		m.fill(&looked[n])
	}
}

// measuring holds the offsets of the partitions of several groups.
type measuring struct {
	inspector *Inspector
	// highest are the ends, firsts the offsets of the oldest records, and readable the offsets of the first open
	// transaction.
	highest, firsts, readable offsets
	oldest                    map[position]wire.Record
}

// position is an offset of a partition.
type position struct {
	kafka.TopicPartition
	offset int64
}

// readOldest reads the next record of each group. Groups may have different offsets in one partition: each round
// reads one offset of every partition.
func (m *measuring) readOldest(ctx context.Context, looked []inspectedGroup) {
	waiting := make(map[position]bool)
	for n := range looked {
		for tp := range looked[n].owners {
			if at, ok := m.next(&looked[n], tp); ok {
				waiting[position{tp, at}] = true
			}
		}
	}
	m.oldest = make(map[position]wire.Record, len(waiting))
	for len(waiting) > 0 && ctx.Err() == nil {
		from := make(offsets)
		for p := range waiting {
			if _, taken := from[p.TopicPartition]; !taken {
				from[p.TopicPartition] = p.offset
				delete(waiting, p)
			}
		}
		for tp, r := range m.inspector.first(ctx, from, m.readable) {
			m.oldest[position{tp, from[tp]}] = r
		}
	}
}

// next returns the offset of the group's oldest unhandled record, and whether a readable record can exist there.
func (m *measuring) next(l *inspectedGroup, tp kafka.TopicPartition) (int64, bool) {
	committed, ok := l.committed[tp]
	end, known := m.readable[tp]
	at := max(committed, m.firsts[tp])
	return at, ok && known && at < end
}

// fill writes the group's rows and its sums.
func (m *measuring) fill(l *inspectedGroup) {
	for _, tp := range slices.SortedFunc(maps.Keys(l.owners), kafka.TopicPartition.Compare) {
		row := m.row(l, tp)
		g := &l.group
		g.Partitions = append(g.Partitions, row)
		if row.Lag != nil {
			g.Lag = new(*row.Lag + valueOf(g.Lag))
		}
		if row.AgeSeconds != nil {
			g.AgeSeconds = new(max(*row.AgeSeconds, valueOf(g.AgeSeconds)))
		}
	}
}

func valueOf[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func (m *measuring) row(l *inspectedGroup, tp kafka.TopicPartition) Lag {
	stream, _ := m.inspector.stream(tp.Topic)
	row := Lag{Group: l.group.Group, Stream: stream, Partition: tp.Partition}
	if owner := l.owners[tp]; owner != nil {
		row.MemberID, row.ClientID, row.Host = owner.MemberID, owner.ClientID, owner.Host
	}
	committed, hasCommitted := l.committed[tp]
	if hasCommitted {
		row.Committed = &committed
	}
	end, hasEnd := m.highest[tp]
	if hasEnd {
		row.End = &end
	}
	switch {
	case !hasCommitted:
		row.Note = noteNoCommit
		return row
	case !hasEnd:
		row.Note = noteNoEnd
		return row
	}
	row.Lag = new(max(end-committed, 0))
	row.AgeSeconds, row.Note = m.age(l, tp, *row.Lag)
	return row
}

// age returns the age of the oldest unhandled record, or the reason why it is unknown.
func (m *measuring) age(l *inspectedGroup, tp kafka.TopicPartition, lag int64) (seconds *float64, reason string) {
	if lag == 0 {
		return new(0.0), ""
	}
	at, readable := m.next(l, tp)
	if !readable {
		return nil, noteTransaction
	}
	r, found := m.oldest[position{tp, at}]
	if !found || !hasTime(r.Time) {
		return nil, noteNoRecord
	}
	age := m.inspector.now().Sub(r.Time).Round(time.Millisecond)
	return new(max(age.Seconds(), 0)), ""
}
