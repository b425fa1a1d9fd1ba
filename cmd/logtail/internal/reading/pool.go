package reading

import (
	"sync"
	"sync/atomic"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/filter"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/merge"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// sharedCounts are Counts for concurrent use.
type sharedCounts struct{ read, printed, rejected, noEnvelope, noLevel atomic.Uint64 }

func (s *sharedCounts) counts() Counts {
	return Counts{Read: s.read.Load(), Printed: s.printed.Load(), Rejected: s.rejected.Load(),
		NoEnvelope: s.noEnvelope.Load(), NoLevel: s.noLevel.Load()}
}

// pool filters and formats records, in one goroutine for each processor. The results go to the merger, or, while
// looking back, to a function.
type pool struct {
	r      *reader
	jobs   chan job
	wg     sync.WaitGroup // counts the workers
	busy   sync.WaitGroup // counts the unfinished jobs
	events chan merge.Event
	done   chan struct{} // closed when the merger has ended
	stop   func()
	// found receives batches while looking back; nil while they go to the merger.
	found func(*fetch.Chunk, *merge.Batch)

	mu   sync.Mutex
	idle []*merge.Batch // for reuse
}

type job struct {
	chunk *fetch.Chunk
	batch *merge.Batch
}

func newPool(workers int, r *reader) *pool {
	p := &pool{r: r, jobs: make(chan job, workers), events: make(chan merge.Event, 4*workers),
		done: make(chan struct{})}
	p.stop = sync.OnceFunc(func() { close(p.done) })
	for range workers {
		p.wg.Go(p.work)
	}
	return p
}

// startMerging sends the following results to the merger.
func (p *pool) startMerging() { p.found = nil }

// finish waits for the unfinished jobs and closes the events.
func (p *pool) finish() {
	p.busy.Wait()
	close(p.events)
}

func (p *pool) close() {
	p.stop()
	close(p.jobs)
	p.wg.Wait()
}

// send sends an event to the merger. It returns false when the merger has ended.
func (p *pool) send(e merge.Event) bool {
	if p.found != nil {
		return true
	}
	select {
	case p.events <- e:
		return true
	case <-p.done:
		return false
	}
}

// add passes a chunk to a worker. It blocks while all are busy, and returns false when no more records are needed.
func (p *pool) add(c *fetch.Chunk) bool {
	b := p.batch()
	b.Partition, b.Next = kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}, c.Next
	for i := range c.Records {
		b.Size += len(c.Records[i].Value) + 100
	}
	if !p.send(merge.Event{Come: b}) {
		return false
	}
	p.busy.Add(1)
	// The session reuses the chunk, but not its records.
	p.jobs <- job{&fetch.Chunk{Topic: c.Topic, Partition: c.Partition, Records: c.Records, Next: c.Next}, b}
	return true
}

func (p *pool) batch() *merge.Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		b := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return b
	}
	return new(merge.Batch)
}

// free stores a printed batch for reuse.
func (p *pool) free(b *merge.Batch) {
	const most = 4 << 20 // maximum kept memory of a batch
	if cap(b.Text) > most {
		return
	}
	b.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < 16 {
		p.idle = append(p.idle, b)
	}
}

func (p *pool) work() {
	w := worker{filter: p.r.Filter, separator: p.r.Separator, printer: p.r.Printer()}
	for j := range p.jobs {
		w.process(j.chunk, j.batch)
		p.r.shared.read.Add(uint64(len(j.chunk.Records)))
		p.r.shared.noLevel.Add(w.noLevel)
		p.r.shared.rejected.Add(uint64(len(j.chunk.Records) - len(j.batch.Items)))
		if p.found != nil {
			p.found(j.chunk, j.batch)
			p.free(j.batch)
		} else {
			p.send(merge.Event{Ready: j.batch})
		}
		p.busy.Done()
	}
}

// worker filters and formats records, for one goroutine.
type worker struct {
	filter    *filter.Filter
	printer   form.Printer
	separator byte
	opener    entry.Opener

	noLevel uint64 // records of the last batch without a level
}

// process stores the formatted records of the chunk that pass the filter in the batch.
func (w *worker) process(c *fetch.Chunk, b *merge.Batch) {
	w.noLevel = 0
	for i := range c.Records {
		r := &c.Records[i]
		if w.filter.Excludes(r) {
			continue
		}
		e := w.opener.Open(r)
		switch w.filter.Check(e) {
		case filter.Reject:
			continue
		case filter.NoLevel:
			w.noLevel++
			continue
		case filter.Pass:
		}
		b.Text = append(w.printer.Append(b.Text, e), w.separator)
		b.Items = append(b.Items, merge.Item{Nanos: e.Nanos, Offset: r.Offset, End: len(b.Text), NoEnvelope: e.Note != ""})
	}
}
