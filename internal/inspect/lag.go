package inspect

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Lag is how far a group is behind in one partition.
type Lag struct {
	Group     string `json:"group"`
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	// Committed is the offset of the next record to be handled; null where the group has committed none.
	Committed *int64 `json:"committed"`
	// End is the offset of the next record to be written; null where it could not be looked up.
	End *int64 `json:"end"`
	// Lag is End less Committed, and null where one of them is.
	Lag *int64 `json:"lag"`
	// AgeSeconds is the age of the oldest record that is not handled, by its own time and this machine's clock; 0 where
	// none waits, and null where it is not known.
	AgeSeconds *float64 `json:"age_seconds"`
	// MemberID, ClientID and Host are those of the member that has the partition; empty where nobody has it.
	MemberID string `json:"member_id"`
	ClientID string `json:"client_id"`
	Host     string `json:"host"`
	// Note says why a number is not known; empty where all are.
	Note string `json:"note,omitempty"`
}

// Lag returns how far groups are behind, by group, stream and partition: of the groups that are named, or of all that
// read a stream of the prefix.
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

// The reasons why a number is not known.
const (
	noteNoCommit    = "the group has committed no offset"
	noteNoEnd       = "the partition's end could not be looked up"
	noteTransaction = "the oldest record may belong to a transaction that is open"
	noteNoRecord    = "the oldest record could not be read, or has no time"
)

// measure fills in the partitions of groups. Ends are looked up after the committed offsets, so that a group that
// keeps up is not shown ahead of its stream.
func (i *Inspector) measure(ctx context.Context, looked []groupLook) {
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

// measuring is what is known of the partitions of several groups.
type measuring struct {
	inspector *Inspector
	// highest are the ends, firsts the offsets of the oldest records, and readable the ends before open transactions.
	highest, firsts, readable offsets
	oldest                    map[place]wire.Record
}

// place is an offset of a partition.
type place struct {
	kafka.TopicPartition
	offset int64
}

// readOldest reads the record that each group has to handle next. Groups may be at different offsets of one partition:
// each round reads one offset of every partition.
func (m *measuring) readOldest(ctx context.Context, looked []groupLook) {
	waiting := make(map[place]bool)
	for n := range looked {
		for tp := range looked[n].owners {
			if at, ok := m.next(&looked[n], tp); ok {
				waiting[place{tp, at}] = true
			}
		}
	}
	m.oldest = make(map[place]wire.Record, len(waiting))
	for len(waiting) > 0 && ctx.Err() == nil {
		from := make(offsets)
		for p := range waiting {
			if _, taken := from[p.TopicPartition]; !taken {
				from[p.TopicPartition] = p.offset
				delete(waiting, p)
			}
		}
		for tp, r := range m.inspector.first(ctx, from, m.readable) {
			m.oldest[place{tp, from[tp]}] = r
		}
	}
}

// next returns where the group's oldest unhandled record is looked for, and whether there can be one that is readable.
func (m *measuring) next(l *groupLook, tp kafka.TopicPartition) (int64, bool) {
	committed, ok := l.committed[tp]
	end, known := m.readable[tp]
	at := max(committed, m.firsts[tp])
	return at, ok && known && at < end
}

// fill writes the group's rows and what follows from them.
func (m *measuring) fill(l *groupLook) {
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

func (m *measuring) row(l *groupLook, tp kafka.TopicPartition) Lag {
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

// age returns how old the oldest record is that the group has not handled, or why that is not known.
func (m *measuring) age(l *groupLook, tp kafka.TopicPartition, lag int64) (seconds *float64, note string) {
	if lag == 0 {
		return new(0.0), ""
	}
	at, readable := m.next(l, tp)
	if !readable {
		return nil, noteTransaction
	}
	r, found := m.oldest[place{tp, at}]
	if !found || !hasTime(r.Time) {
		return nil, noteNoRecord
	}
	age := m.inspector.now().Sub(r.Time).Round(time.Millisecond)
	return new(max(age.Seconds(), 0)), ""
}
