// Package merge sorts the records of many partitions by time. Records of one partition keep their order: a record's
// time counts as at least that of the record before it.
//
// Records that existed at the start come out sorted, by a merge of the partitions' first records, however fast each
// partition is read. A later record waits at most one window for older records of other partitions.
package merge

import (
	"cmp"
	"math"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Item is a record to print.
type Item struct {
	Nanos  int64 // the record's time, in nanoseconds since 1970
	Offset int64
	End    int // end of its text in Batch.Text; it begins at the end of the previous item
	// NoEnvelope marks a record that is not an envelope.
	NoEnvelope bool
}

// Batch is a run of records of one partition. Records that the filters reject have no item.
type Batch struct {
	Partition kafka.TopicPartition
	Items     []Item
	Text      []byte
	// Next is the offset behind the batch.
	Next int64
	// Size is the approximate memory of the batch in bytes.
	Size int

	ready   bool
	first   int // index of the first unprinted item
	arrived time.Time
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { *b = Batch{Items: b.Items[:0], Text: b.Text[:0]} }

// text returns the text of items.
func (b *Batch) text(from, to int) []byte {
	start := 0
	if from > 0 {
		start = b.Items[from-1].End
	}
	return b.Text[start:b.Items[to-1].End]
}

// Options configure a Merger.
type Options struct {
	// Window is how long a record may wait for older ones of other partitions. 0 prints in order of arrival.
	Window time.Duration
	// Limit ends the merger after this many printed records; 0: never.
	Limit int
	// Pause and Resume stop and continue the reading of a partition that is ahead of others.
	Pause, Resume func(kafka.TopicPartition)
	// Print receives the text of records, to be written at once or at the next Flush.
	Print func(text []byte, items []Item) error
	// Flush is called when nothing is left to print for now, with the offsets up to which everything is printed.
	Flush func(positions map[kafka.TopicPartition]int64) error
	// Free receives a printed batch for reuse.
	Free func(*Batch)
}

const (
	// stallLimit is how long all partitions wait for one that has not delivered its existing records: its broker may
	// be unreachable.
	stallLimit = 3 * time.Second
	// A partition with this many waiting bytes or items is paused, and resumed at half of it.
	pauseBytes   = 4 << 20
	pauseBatches = 4
)

// Merger orders batches. It has no goroutine: the caller runs Run in one.
type Merger struct {
	opts       Options
	partitions map[kafka.TopicPartition]*partition
	heap       []*partition // partitions with an item; the oldest item on top
	unready    int          // partitions whose first batch is not ready
	awaited    int          // partitions that must deliver before anything is printed
	blocked    time.Time    // since when awaited blocks printing; zero: not blocked
	printed    int
	positions  map[kafka.TopicPartition]int64
}

// partition is the state of one partition.
type partition struct {
	tp      kafka.TopicPartition
	queue   []*Batch
	bytes   int
	last    int64 // effective time of the last printed record
	end     int64 // offset of the first record after the start
	next    int64 // offset behind the last batch
	waived  bool  // printing does not wait for it
	awaited bool  // counted in Merger.awaited
	paused  bool
	heapPos int // -1 = not in the heap
	listed  int // order of appearance
}

// New returns a Merger.
func New(o Options) *Merger {
	return &Merger{opts: o, partitions: make(map[kafka.TopicPartition]*partition),
		positions: make(map[kafka.TopicPartition]int64)}
}

// Event is an event of one or more partitions. One of the fields is set.
type Event struct {
	// Expect lists the partitions that exist at the start, and their ends: no newer record is printed before these.
	Expect map[kafka.TopicPartition]int64
	// Come is a batch whose items are not ready yet. Batches of a partition arrive in order.
	Come *Batch
	// Ready is a batch that has arrived by Come and is complete.
	Ready *Batch
	// Removed is a partition without further batches for now.
	Removed *kafka.TopicPartition
	// Interrupted ends the merger. Records that wait for others that existed at the start are not printed.
	Interrupted bool
}

// Run applies events and prints until the channel is closed and everything is printed, the limit is reached, or
// printing fails.
func (m *Merger) Run(events <-chan Event) error {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for {
		var event Event
		open := true
		select {
		case event, open = <-events:
		default:
			if err := m.opts.Flush(m.positions); err != nil {
				return err
			}
			if wait := m.wait(time.Now()); wait >= 0 {
				timer.Reset(wait)
			}
			select {
			case event, open = <-events:
			case <-timer.C:
			}
		}
		ended := !open || event.Interrupted
		if ended && m.awaited > 0 && open {
			return m.opts.Flush(m.positions)
		}
		if ended {
			m.release()
		} else {
			m.apply(event, time.Now())
		}
		if err := m.print(time.Now()); err != nil {
			return err
		}
		if ended || m.full() {
			return m.opts.Flush(m.positions)
		}
	}
}

func (m *Merger) full() bool { return m.opts.Limit > 0 && m.printed >= m.opts.Limit }

func (m *Merger) at(tp kafka.TopicPartition) *partition {
	p := m.partitions[tp]
	if p == nil {
		p = &partition{tp: tp, last: math.MinInt64, heapPos: -1, listed: len(m.partitions)}
		m.partitions[tp] = p
	}
	return p
}

func (m *Merger) apply(e Event, now time.Time) {
	for tp, end := range e.Expect {
		p := m.at(tp)
		p.end = end
		m.count(p)
	}
	switch {
	case e.Come != nil:
		p := m.at(e.Come.Partition)
		e.Come.arrived = now
		p.queue = append(p.queue, e.Come)
		p.bytes += e.Come.Size
		p.next, p.waived = e.Come.Next, false
		if len(p.queue) == 1 {
			m.unready++
		}
		m.count(p)
		m.pause(p)
	case e.Ready != nil:
		p := m.at(e.Ready.Partition)
		p.bytes -= e.Ready.Size
		e.Ready.Size = len(e.Ready.Text) + len(e.Ready.Items)*24
		p.bytes += e.Ready.Size
		if e.Ready.ready = true; p.queue[0] == e.Ready {
			m.unready--
			m.advance(p)
		}
	case e.Removed != nil:
		p := m.at(*e.Removed)
		p.end = 0
		m.count(p)
	}
}

// release stops waiting for partitions, because no event follows.
func (m *Merger) release() {
	for _, p := range m.partitions {
		p.end = 0
		m.count(p)
	}
	if m.opts.Window > 0 {
		m.opts.Window = -1
	}
}

// advance skips batches without an item to print, and updates the partition's position in the heap.
func (m *Merger) advance(p *partition) {
	for len(p.queue) > 0 && p.queue[0].ready && p.queue[0].first == len(p.queue[0].Items) {
		b := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.bytes -= b.Size
		m.positions[p.tp] = b.Next
		m.opts.Free(b)
		if len(p.queue) > 0 && !p.queue[0].ready {
			m.unready++
		}
	}
	m.count(p)
	m.resume(p)
	if len(p.queue) > 0 && p.queue[0].ready {
		m.fix(p)
	} else {
		m.unplace(p)
	}
}

func (m *Merger) pause(p *partition) {
	if !p.paused && (p.bytes > pauseBytes || len(p.queue) > pauseBatches) {
		p.paused = true
		m.opts.Pause(p.tp)
	}
}

func (m *Merger) resume(p *partition) {
	if p.paused && p.bytes <= pauseBytes/2 && len(p.queue) <= pauseBatches/2 {
		p.paused = false
		m.opts.Resume(p.tp)
	}
}

// head returns the effective time of the partition's first record.
func (p *partition) head() int64 {
	b := p.queue[0]
	return max(b.Items[b.first].Nanos, p.last)
}

// count updates the number of partitions that must deliver before anything may be printed.
func (m *Merger) count(p *partition) {
	awaited := len(p.queue) == 0 && p.next < p.end && !p.waived
	if awaited && !p.awaited {
		m.awaited++
	} else if !awaited && p.awaited {
		m.awaited--
	}
	p.awaited = awaited
}

// history reports whether the partition's first record existed at the start.
func (p *partition) history() bool { return p.queue[0].Items[p.queue[0].first].Offset < p.end }

// wait returns how long Run may wait for an event; negative: unlimited.
func (m *Merger) wait(now time.Time) time.Duration {
	switch {
	case len(m.heap) == 0 || m.unready > 0:
		return -1
	case !m.blocked.IsZero():
		return max(m.blocked.Add(stallLimit).Sub(now), 0)
	default:
		return max(m.due().Sub(now), 0)
	}
}

// due returns when the first record after the start may be printed: when the record that has waited longest has
// waited for the window.
func (m *Merger) due() time.Time {
	oldest := m.heap[0].queue[0].arrived
	for _, p := range m.heap {
		if t := p.queue[0].arrived; t.Before(oldest) {
			oldest = t
		}
	}
	return oldest.Add(m.opts.Window)
}

// print prints all records that may be printed.
func (m *Merger) print(now time.Time) error {
	if m.opts.Window == 0 {
		return m.printArrived()
	}
	for len(m.heap) > 0 && m.unready == 0 && !m.full() {
		if m.isBlocked(now) {
			return nil
		}
		p := m.heap[0]
		if !p.history() && m.opts.Window > 0 && m.due().After(now) {
			return nil
		}
		if err := m.run(p, m.second()); err != nil {
			return err
		}
	}
	return nil
}

// isBlocked reports whether a partition must deliver first. It stops waiting for it after stallLimit.
func (m *Merger) isBlocked(now time.Time) bool {
	switch {
	case m.awaited == 0:
		m.blocked = time.Time{}
		return false
	case m.blocked.IsZero():
		m.blocked = now
		return true
	case now.Sub(m.blocked) < stallLimit:
		return true
	}
	for _, p := range m.partitions {
		p.waived = p.waived || p.awaited
		m.count(p)
	}
	m.blocked = time.Time{}
	return false
}

// second returns the time up to which the top partition of the heap may be printed before another one follows.
func (m *Merger) second() int64 {
	limit := int64(math.MaxInt64)
	for i := 1; i < min(3, len(m.heap)); i++ {
		limit = min(limit, m.heap[i].head())
	}
	return limit
}

// run prints records of the partition's first batch up to a time, at least one record.
func (m *Merger) run(p *partition, limit int64) error {
	b := p.queue[0]
	live := !p.history()
	to := b.first
	for to < len(b.Items) {
		at := max(b.Items[to].Nanos, p.last)
		if to > b.first && (at > limit || live != (b.Items[to].Offset >= p.end)) {
			break
		}
		p.last = at
		to++
		if m.opts.Limit > 0 && m.printed+to-b.first >= m.opts.Limit {
			break
		}
	}
	return m.printRun(p, to)
}

// printRun prints the first batch up to an item.
func (m *Merger) printRun(p *partition, to int) error {
	b := p.queue[0]
	if err := m.opts.Print(b.text(b.first, to), b.Items[b.first:to]); err != nil {
		return err
	}
	m.printed += to - b.first
	m.positions[p.tp] = b.Items[to-1].Offset + 1
	b.first = to
	m.advance(p)
	return nil
}

// printArrived prints in order of arrival.
func (m *Merger) printArrived() error {
	for len(m.heap) > 0 && !m.full() {
		p := m.heap[0]
		b := p.queue[0]
		to := len(b.Items)
		if m.opts.Limit > 0 {
			to = min(to, b.first+m.opts.Limit-m.printed)
		}
		if err := m.printRun(p, to); err != nil {
			return err
		}
	}
	return nil
}

// A heap of partitions, ordered by the times of their first records.

func (m *Merger) before(a, b *partition) bool {
	return cmp.Or(cmp.Compare(a.head(), b.head()), cmp.Compare(a.listed, b.listed)) < 0
}

// fix moves a partition whose first record has changed to its position.
func (m *Merger) fix(p *partition) {
	if p.heapPos < 0 {
		p.heapPos = len(m.heap)
		m.heap = append(m.heap, p)
	}
	m.up(p.heapPos)
	m.down(p.heapPos)
}

func (m *Merger) unplace(p *partition) {
	if p.heapPos < 0 {
		return
	}
	at, last := p.heapPos, len(m.heap)-1
	m.swap(at, last)
	m.heap[last] = nil
	m.heap = m.heap[:last]
	p.heapPos = -1
	if at < last {
		m.up(at)
		m.down(at)
	}
}

func (m *Merger) up(i int) {
	for i > 0 && m.before(m.heap[i], m.heap[(i-1)/2]) {
		m.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (m *Merger) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c < min(2*i+3, len(m.heap)); c++ {
			if m.before(m.heap[c], m.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		m.swap(i, least)
		i = least
	}
}

func (m *Merger) swap(i, j int) {
	m.heap[i], m.heap[j] = m.heap[j], m.heap[i]
	m.heap[i].heapPos, m.heap[j].heapPos = i, j
}
