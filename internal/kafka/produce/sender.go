package produce

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const (
	// batchOverhead is the header of a batch, which counts for max_request_size as a record does.
	batchOverhead = 61

	// maxRequest bounds the bytes of one request. It is far below the broker's socket.request.max.bytes (100 MB), and
	// large enough for the requests not to matter.
	maxRequest = 8 << 20

	// maxInFlight is how many requests a leader may have at once: while one is answered the next are on their way. Each
	// has a connection of its own, as kafka-go does not pipeline.
	maxInFlight = 4

	// An attempt has request_timeout_ms, within these: less than a second breaks healthy clusters, more than half a minute
	// only hides a hung broker.
	minAttempt = time.Second
	maxAttempt = 30 * time.Second

	// urgentLinger is how long a batch that somebody waits for lingers while its leader has a request to answer: what
	// comes meanwhile goes with it, and costs no request of its own. A broker that is near answers sooner; for one
	// that is far it is little.
	urgentLinger = time.Millisecond

	// logAfter is how long a fault lasts before the log says so: a leader that has moved is found sooner.
	logAfter = time.Second
)

// broker is what the sender knows of a leader. Guarded by Producer.mu.
type broker struct {
	inFlight int
	fault    fault // the broker as a whole: what it answers for one partition is that partition's fault
}

// run is the sender: the one goroutine that decides what goes, and that starts and awaits all others.
func (p *Producer) run() {
	defer close(p.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var logged bool // the log says that records wait
	for {
		next := p.dispatch(time.Now())
		logged = p.logWaiting(logged)
		timer.Reset(next)
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.ctx.Done():
			p.work.Wait()
			return
		}
	}
}

// logWaiting logs when a fault has lasted, and when it is over, once each.
func (p *Producer) logWaiting(logged bool) bool {
	p.mu.Lock()
	fault, waiting := p.oldestFault, p.quota.records.Load()
	p.mu.Unlock()
	switch {
	case logged && fault.err == nil:
		p.log.Info("produce: records are being written again")
		return false
	case !logged && fault.err != nil && time.Since(fault.since) > logAfter:
		p.log.Warn("produce: records wait, trying again", "since", fault.since, "records", waiting, "error", fault.err)
		return true
	}
	return logged
}

// schedule collects when the sender has to look again.
type schedule struct {
	now  time.Time
	next time.Duration
}

// due reports whether t has come, and remembers it if not.
func (a *schedule) due(t time.Time) bool {
	wait := t.Sub(a.now)
	if wait <= 0 {
		return true
	}
	a.next = min(a.next, wait)
	return false
}

// dispatch starts everything that is due and returns how long nothing else will be, unless somebody signals.
func (p *Producer) dispatch(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return time.Hour // run sees it and ends: nothing is started any more
	}
	p.activate()
	a := &schedule{now: now, next: time.Hour}
	if p.quota.records.Load() > 0 {
		if a.due(p.swept.Add(sweepInterval)) {
			p.sweep()
		}
		a.due(p.swept.Add(sweepInterval))
	}
	p.watchMetadata()
	p.oldestFault = fault{}
	p.ensureTopics(a)
	p.sendBatches(a)
	p.refreshMetadata(a)
	p.opened.mu.Lock()
	defer p.opened.mu.Unlock()
	if len(p.opened.partitions) > 0 { // by who did not know when the sender looks again
		a.next = min(a.next, p.linger)
	}
	p.opened.wakes = now.Add(a.next)
	return a.next
}

// sendBatches starts one request per leader with what is due of all its partitions, while the leader has room for a
// request.
func (p *Producer) sendBatches(a *schedule) {
	requests := map[int32]*request{}
	waiting := p.active[:0]
	var served []*partition
	for _, q := range p.active {
		p.trackFaults(q)
		if q.removed {
			p.moveAway(q)
		}
		open, queued := p.waiting(q)
		switch {
		case open == nil && !queued && q.flight == nil:
			q.active = false
		case q.busy || !p.sendable(q, open, queued, a):
			waiting = append(waiting, q)
		case p.addToRequest(q, requests, a):
			served = append(served, q)
		default:
			waiting = append(waiting, q)
		}
	}
	clear(p.active[len(waiting):])
	p.active = append(waiting, served...) // who was served goes to the end: bounded requests starve nobody
	for id, r := range requests {
		p.brokers[id].inFlight++
		p.stats.InFlight++
		p.stats.Requests++
		p.work.Go(func() { p.send(r) })
	}
}

// sendable reports whether the partition has a batch that is due, and everything that it takes to send it. Its open
// batch is b, and there may be others before that.
func (p *Producer) sendable(q *partition, b *batch, queued bool, a *schedule) bool {
	if q.flight == nil && !queued {
		linger := p.linger
		switch {
		case b.group.ended.Load() || p.closing.Load() || p.quota.hasWaiters.Load():
			linger = 0
		case b.urgent.Load() && p.answering(q.leader):
			linger = min(linger, urgentLinger)
		case b.urgent.Load():
			linger = 0
		}
		if linger > 0 && !a.due(b.createdAt.Add(linger)) {
			return false
		}
	}
	if q.leader < 0 || !a.due(q.fault.due) {
		return false
	}
	br := p.brokers[q.leader]
	if br == nil {
		br = &broker{}
		p.brokers[q.leader] = br
	}
	limit := maxInFlight
	if br.fault.err != nil {
		limit = 1 // one request reports whether it is back
	}
	if br.inFlight >= limit || !a.due(br.fault.due) {
		return false
	}
	return p.identify(q, a)
}

// answering reports whether a broker has a request that it has not answered.
func (p *Producer) answering(id int32) bool {
	br := p.brokers[id]
	return br != nil && br.inFlight > 0
}

// addToRequest moves the partition's next batch into the request for its leader. It reports false when that request is
// full; the next one is then started at once.
func (p *Producer) addToRequest(q *partition, requests map[int32]*request, a *schedule) bool {
	if q.flight == nil {
		q.flight = p.nextBatch(q)
		if q.flight == nil {
			return false // all its records had expired
		}
	}
	b := q.flight
	r := requests[q.leader]
	if r == nil {
		r = &request{leader: q.leader}
		requests[q.leader] = r
	}
	size := b.store.builder.Size()
	if len(r.items) > 0 && r.size+size > maxRequest {
		a.next = 0
		p.putFirst(q, q.flight)
		q.flight = nil
		return false
	}
	if b.attempts++; b.attempts > 1 {
		p.stats.Retries++
	}
	r.size += size
	r.items = append(r.items, item{q: q, b: b, producer: q.identity})
	q.busy = true
	return true
}

// nextBatch takes the next batch out of the queue, without the records whose context has ended: from here on it is
// fixed.
func (p *Producer) nextBatch(q *partition) *batch {
	for {
		b := p.pop(q)
		if b == nil {
			return nil
		}
		p.expire(q, b)
		if b = p.compact(q, b); b != nil {
			return b
		}
	}
}

// trackFaults remembers the oldest fault that keeps a partition waiting.
func (p *Producer) trackFaults(q *partition) {
	p.trackFault(&q.fault)
	p.trackFault(&p.identity.fault)
	if br := p.brokers[q.leader]; br != nil {
		p.trackFault(&br.fault)
	} else if q.leader < 0 {
		p.trackFault(&p.metadata.fault)
	}
}

func (p *Producer) trackFault(f *fault) {
	if f.err != nil {
		p.oldestFault = p.oldestFault.older(*f)
	}
}

// identify makes sure that the partition has a producer id and a sequence to go on with.
func (p *Producer) identify(q *partition, a *schedule) bool {
	if !p.idempotent || q.identity.ID >= 0 {
		return true
	}
	if p.identity.ID >= 0 {
		q.identity = wire.Producer{ID: p.identity.ID, Epoch: p.identity.Epoch}
		return true
	}
	if !p.identity.asking && a.due(p.identity.fault.due) {
		p.identity.asking = true
		p.work.Go(p.askIdentity)
	}
	return false
}
