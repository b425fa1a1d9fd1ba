package fetch

import (
	"context"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// segment is what one response has for one partition: batches, errors in their places, and where
// reading goes on after it.
type segment struct {
	part          *partition
	from          int64 // records below it were not asked for
	next          int64
	highWatermark int64
	replica       int32 // the one that the leader names to be asked instead; -1 = none
	items         []item
	bytes         int  // of the response
	cutOff        bool // it ended within the first batch

	// Of the batch that items begins with:
	decoding bool
	reader   wire.RecordReader // the records that have not been decoded
	reached  int64             // the offset after those that have
}

// item is a batch to decode, or an error that stands in its place.
type item struct {
	batch wire.Batch
	err   *PartitionError
}

// result is what Next returns: a chunk or an error.
type result struct {
	part  *partition // nil with the error of a broker
	chunk *Chunk
	err   error
	bytes int // given back to the buffer when Next returns it: those of a segment that it ends
}

// pushLocked puts segments behind those that their partitions have. Those of partitions that have been removed
// meanwhile are dropped.
func (f *Fetcher) pushLocked(segments ...*segment) {
	for _, s := range segments {
		p := s.part
		if f.partitions[p.TopicPartition] != p {
			continue
		}
		p.segments = append(p.segments, s)
		p.queued += s.bytes
		if !p.paused {
			f.bufferLocked(s.bytes)
		}
		f.readyLocked(p)
	}
}

// bufferLocked counts bytes that wait to be decoded.
func (f *Fetcher) bufferLocked(n int) {
	f.buffered += n
	if f.buffered >= f.opts.MaxBuffered && f.space == nil {
		f.space = make(chan struct{})
	}
}

// releaseLocked takes back a bufferLocked.
func (f *Fetcher) releaseLocked(n int) {
	f.buffered -= n
	if f.buffered < f.opts.MaxBuffered && f.space != nil {
		close(f.space)
		f.space = nil
	}
}

// waitForSpace returns when fewer bytes than MaxBuffered are held, or ctx ends.
func (f *Fetcher) waitForSpace(ctx context.Context) error {
	for {
		f.mu.Lock()
		space := f.space
		f.mu.Unlock()
		if space == nil {
			return ctx.Err()
		}
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readyLocked lists a partition for the decoders, if it has something for them. One chunk of a partition is decoded
// at a time, and the next one not before Next's caller has seen it: it may have paused the partition because of it.
func (f *Fetcher) readyLocked(p *partition) {
	if p.paused || p.decoding || p.listed || len(p.segments) == 0 {
		return
	}
	p.listed = true
	f.ready = append(f.ready, p)
	f.startDecoderLocked()
}

// startDecoderLocked starts one more goroutine that decodes, if there is something to decode, and room for it.
func (f *Fetcher) startDecoderLocked() {
	if len(f.ready) == 0 || f.decoders >= f.processors || len(f.out) >= f.processors || f.closed {
		return
	}
	f.decoders++
	f.wg.Go(f.decodeReady)
}

// decodeReady decodes chunks until there is nothing to decode, or enough waits for Next.
func (f *Fetcher) decodeReady() {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.decoders-- }()
	for len(f.ready) > 0 && len(f.out) < f.processors && !f.closed {
		p := f.ready[0]
		f.ready[0] = nil
		if f.ready = f.ready[1:]; len(f.ready) == 0 {
			f.ready = nil // let go of the array, which has grown behind its beginning
		}
		p.listed = false
		if p.paused || len(p.segments) == 0 {
			continue
		}
		p.decoding = true
		s := p.segments[0]
		f.mu.Unlock()
		r := f.decode(s)
		f.mu.Lock()
		if f.partitions[p.TopicPartition] != p {
			continue
		}
		if len(s.items) == 0 {
			p.segments[0] = nil
			p.segments = p.segments[1:]
			r.bytes = s.bytes
		}
		if p.paused {
			p.held = r
			continue
		}
		f.deliverLocked(r)
	}
}

// deliverLocked puts a result behind those that wait for Next.
func (f *Fetcher) deliverLocked(r *result) {
	f.out = append(f.out, r)
	signal(f.nextWoken)
}

// report delivers a broker's refusal, unless its last one is still there to be seen.
func (f *Fetcher) report(err *BrokerError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.out); n > 0 {
		if last, ok := f.out[n-1].err.(*BrokerError); ok && last.Broker == err.Broker {
			return
		}
	}
	f.deliverLocked(&result{err: err})
}
