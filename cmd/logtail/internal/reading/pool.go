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

// sharedCounts are Counts that several goroutines count.
type sharedCounts struct{ read, printed, rejected, noEnvelope, noLevel atomic.Uint64 }

func (s *sharedCounts) counts() Counts {
	return Counts{Read: s.read.Load(), Printed: s.printed.Load(), Rejected: s.rejected.Load(),
		NoEnvelope: s.noEnvelope.Load(), NoLevel: s.noLevel.Load()}
}

// pool filters records and puts them into their form, in one goroutine for each processor. What is done goes to the
// merger, or, while looking back, to a function.
type pool struct {
	r      *reader
	jobs   chan job
	wg     sync.WaitGroup // of the workers
	busy   sync.WaitGroup // of the jobs that are not done
	events chan merge.Event
	done   chan struct{} // closed when nobody receives events any more
	stop   func()
	// found takes batches while looking back; nil while they go to the merger.
	found func(*fetch.Chunk, *merge.Batch)

	mu   sync.Mutex
	idle []*merge.Batch // to be used again
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

// begin sends what is done to the merger from now on.
func (p *pool) begin() { p.found = nil }

// finish waits for the jobs that are under way, and says that nothing more comes.
func (p *pool) finish() {
	p.busy.Wait()
	close(p.events)
}

func (p *pool) close() {
	p.stop()
	close(p.jobs)
	p.wg.Wait()
}

// send hands an event to the merger. It returns false when that has ended.
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

// add hands a chunk to a worker. It waits while all have enough to do, and returns false when nothing more is wanted.
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
	// The chunk is the session's only until it reads on; its records are ours.
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

// free takes back a batch whose text is written.
func (p *pool) free(b *merge.Batch) {
	const most = 4 << 20 // of memory that is kept for one
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

// worker filters and forms records, for one goroutine.
type worker struct {
	filter    *filter.Filter
	printer   form.Printer
	separator byte
	opener    entry.Opener

	noLevel uint64 // records of the last batch that have no level
}

// process puts the records of the chunk that pass into the batch.
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
		b.Items = append(b.Items, merge.Item{Nanos: e.Nanos, Offset: r.Offset, End: len(b.Text), Foreign: e.Note != ""})
	}
}
