package produce

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// fault is what goes wrong with one thing (a partition, a broker, a topic, the metadata, the producer id): since when,
// why, and when the next try is due. Its zero value means all is well. Guarded by Producer.mu.
type fault struct {
	err      error
	since    time.Time
	due      time.Time
	attempts int
}

// failed records one more failure and sets the time of the next try, at least atLeast from now.
func (f *fault) failed(err error, now time.Time, b kafka.Backoff, atLeast time.Duration) {
	if f.err == nil {
		f.since = now
	}
	f.err = err
	f.due = now.Add(max(b.Delay(f.attempts), atLeast))
	f.attempts++
}

func (f *fault) clear() { *f = fault{} }

// because is the end of an error message that would otherwise hide why something waited.
func (f *fault) because() string {
	if f.err == nil {
		return ""
	}
	return fmt.Sprintf(" (the last error: %v)", f.err)
}

// older returns the one of the two that is there and has lasted longer.
func (f fault) older(g fault) fault {
	if f.err == nil || g.err != nil && g.since.Before(f.since) {
		return g
	}
	return f
}

// Health returns nil when nothing that waits to be sent fails, else the oldest fault: since when, and its last error.
// It asks nobody, so it is cheap, and a producer with nothing to send is healthy.
func (p *Producer) Health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oldestFault.err == nil {
		return nil
	}
	return fmt.Errorf("produce: failing since %s, %d records wait: %w",
		p.oldestFault.since.Format(time.RFC3339), p.quota.records.Load(), p.oldestFault.err)
}

// Waiting returns why records wait: the oldest fault, else the last connection error, else which brokers have not
// answered yet. It is nil when nothing waits. It does no I/O.
func (p *Producer) Waiting() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quota.records.Load() == 0 {
		return nil
	}
	if p.oldestFault.err != nil {
		return p.oldestFault.err
	}
	if err := p.client.LastConnError(); err != nil {
		return err
	}
	var names []string
	for id, b := range p.brokers {
		if b.inFlight > 0 {
			names = append(names, p.brokerName(id))
		}
	}
	if len(names) == 0 {
		return p.client.Unanswered()
	}
	slices.Sort(names)
	return fmt.Errorf("no answer yet from %s", strings.Join(names, ", "))
}

// Stats counts what a Producer did since it was made, and what it holds now.
type Stats struct {
	Records  int   // held: produced, neither acknowledged nor failed for good
	Bytes    int64 // of memory that these records count as
	InFlight int   // requests that wait for their answer

	Sent     uint64 // records acknowledged by the broker
	Failed   uint64 // records that ended in an error
	Requests uint64 // produce requests sent
	Retries  uint64 // batches sent again
	// times a partition had to start anew with another producer id: only there can a record be written twice
	Resets uint64
}

// Stats returns the counts of this moment. Safe for concurrent use.
func (p *Producer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Records, s.Bytes = int(p.quota.records.Load()), p.quota.bytes.Load()
	return s
}
