package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	kfetch "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const (
	// fetchReserve is what a fetch may take beyond the time that the broker may hold it.
	fetchReserve = 5 * time.Second
	// leastFetch is what a fetch asks for at least, however full the buffer is.
	leastFetch = 1 << 20
	// maxCutOff is how often in a row a partition's first batch may come cut off. Once it is the first
	// partition of the request, its first batch comes whole, whatever its size.
	maxCutOff = 10
	// besideWait is how long a broker may hold a request beside that of the session. It is short, because
	// both must have come back before a partition of the one can be in the other.
	besideWait = 20 * time.Millisecond
)

// loop fetches from one broker: with one request of a fetch session, which the broker may hold for
// fetch_max_wait_ms, and while that is on its way with one request beside it, for partitions that may
// be read and are not in the first one. Fetcher.mu guards all but the channels.
type loop struct {
	broker int32
	wake   chan struct{} // the session's request may be due
	beside chan struct{} // the request beside it may be due

	led          int                     // partitions that are read here
	changed      map[*partition]struct{} // those of which the session may know something wrong
	session      session
	waiting      bool // the session's request is on its way
	extraRequest bool // the request beside it is on its way
	failed       bool // the last one beside it has failed: the session's own tells what is wrong
	crowded      bool // the session's last answer was so large that partitions may have been left out
}

// startLocked starts the loop of a broker.
func (f *Fetcher) startLocked(broker int32) *loop {
	l := &loop{
		broker: broker, wake: make(chan struct{}, 1), beside: make(chan struct{}, 1), changed: make(map[*partition]struct{}),
		session: session{members: make(map[kafka.TopicPartition]asked), forgotten: make(map[kafka.TopicPartition]struct{})},
	}
	f.loops[broker] = l
	ctx, cancel := context.WithCancel(f.ctx)
	f.wg.Go(func() {
		defer cancel()
		f.fetch(ctx, l)
	})
	f.wg.Go(func() { f.fetchBeside(ctx, l) })
	return l
}

// moveLocked has a partition read at another broker; kafka.NoLeader is none.
func (f *Fetcher) moveLocked(p *partition, broker int32) {
	if l := f.loops[p.broker]; l != nil {
		l.led--
		f.changedLocked(p)
	}
	p.broker = broker
	if broker < 0 || f.closed {
		return
	}
	l := f.loops[broker]
	if l == nil {
		l = f.startLocked(broker)
	}
	l.led++
	f.changedLocked(p)
}

// changedLocked makes a partition's loop look at it again.
func (f *Fetcher) changedLocked(p *partition) {
	l := f.loops[p.broker]
	if l == nil {
		return
	}
	l.changed[p] = struct{}{}
	if l.waiting {
		signal(l.beside)
	} else {
		signal(l.wake)
	}
}

// fetch asks one broker for its partitions again and again, until it leads none of them or ctx ends. An
// answer is buffered as it is; while its records are decoded the next one is on its way.
func (f *Fetcher) fetch(ctx context.Context, l *loop) {
	for failures := 0; ; {
		if f.waitForSpace(ctx) != nil {
			return
		}
		req, wait, closing := f.sessionRequest(l)
		if closing {
			return
		}
		if req == nil {
			if !sleep(ctx, l.wake, wait) {
				return
			}
			continue
		}
		began := time.Now()
		res, err := f.ask(ctx, l, req, failures)
		if err != nil {
			f.endRequest(l, req, nil, err)
			if ctx.Err() != nil {
				return
			}
			if req.epoch > 0 && isSessionError(err) {
				continue // with a new session: nothing has failed
			}
			if f.failed(ctx, l, err, failures) != nil {
				return
			}
			failures++
			continue
		}
		if failures > 0 {
			f.log.Info("fetch: the broker answers again", "broker", l.broker)
		}
		failures = 0
		worked := f.endRequest(l, req, res, nil)
		if !worked {
			f.memory.Release() // the backlog has been read
		}
		if f.pause(ctx, res, worked || time.Since(began) >= req.wait/2) != nil {
			return
		}
	}
}

// fetchBeside asks for partitions that may be read while the session's request, which is without them, is on its way.
func (f *Fetcher) fetchBeside(ctx context.Context, l *loop) {
	for {
		if f.waitForSpace(ctx) != nil {
			return
		}
		req, wait := f.besideRequest(l)
		if req == nil {
			if !sleep(ctx, l.beside, wait) {
				return
			}
			continue
		}
		began := time.Now()
		res, err := f.ask(ctx, l, req, 0)
		if err != nil {
			f.failures.Add(1)
		}
		worked := f.endRequest(l, req, res, err)
		if err == nil && f.pause(ctx, res, worked || time.Since(began) >= req.wait/2) != nil {
			return
		}
	}
}

// pause waits for as long as the broker wants, and where it answered nothing and did not wait.
func (f *Fetcher) pause(ctx context.Context, res *wire.FetchResponse, worked bool) error {
	pause := time.Duration(res.ThrottleMs) * time.Millisecond
	if !worked {
		pause = max(pause, reassignSoon)
	}
	if pause <= 0 {
		return nil
	}
	return kafka.Sleep(ctx, pause)
}

// sleep waits until it is woken, or for d if that is positive. It reports whether ctx goes on.
func sleep(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-wake:
	case <-after:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// ask sends one request. After failures it may take longer, for slow links.
func (f *Fetcher) ask(ctx context.Context, l *loop, r *request, failures int) (*wire.FetchResponse, error) {
	f.mu.Lock()
	// Half of what is left, because others ask too.
	most := min(max((f.opts.MaxBuffered-f.buffered-f.inFlight)/2, leastFetch), f.cfg.FetchMaxBytes)
	f.inFlight += most
	r.limit = most
	rack := f.cfg.ClientRack
	if time.Now().Before(f.leadersUntil) {
		rack = ""
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.inFlight -= most
		f.mu.Unlock()
	}()
	req := &wire.FetchRequest{Leader: l.broker, ClientID: f.cfg.ClientID, Memory: f.memory, Request: kfetch.Request{
		ReplicaID: -1, SessionID: r.session, SessionEpoch: r.epoch,
		MaxWaitTime:     int32(r.wait.Milliseconds()),
		MinBytes:        int32(f.cfg.FetchMinBytes),
		MaxBytes:        int32(most),
		ForgottenTopics: r.forgottenTopics(),
		RackID:          rack,
	}}
	if f.committed() {
		req.IsolationLevel = 1
	}
	for _, a := range r.parts {
		n := len(req.Topics)
		if n == 0 || req.Topics[n-1].Topic != a.part.Topic {
			req.Topics = append(req.Topics, kfetch.RequestTopic{Topic: a.part.Topic})
			n++
		}
		t := &req.Topics[n-1]
		t.Partitions = append(t.Partitions, kfetch.RequestPartition{
			Partition: a.part.Partition, CurrentLeaderEpoch: -1, FetchOffset: a.from, LogStartOffset: -1,
			PartitionMaxBytes: int32(f.cfg.MaxPartitionFetchBytes),
		})
	}
	timeout := min(r.wait+fetchReserve<<min(failures, 10), max(f.cfg.RequestTimeout, r.wait+fetchReserve))
	m, err := f.client.RoundTrip(ctx, req, timeout)
	if err != nil {
		return nil, err
	}
	res, ok := m.(*wire.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("fetch: got %T for an answer", m)
	}
	f.requests.Add(1)
	f.bytes.Add(uint64(res.Size))
	if err := kafka.CodeErr(res.Code); err != nil {
		return nil, err
	}
	return res, nil
}

// failed waits after a request that failed as a whole. It returns an error when ctx ends.
func (f *Fetcher) failed(ctx context.Context, l *loop, err error, failures int) error {
	f.failures.Add(1)
	f.invalidateMetadata() // other brokers may lead by now
	if kafka.Classify(err) == kafka.Denied {
		f.report(&BrokerError{Broker: l.broker, Err: err})
		return kafka.Sleep(ctx, deniedBackoff)
	}
	if failures == 0 {
		f.log.Warn("fetch: the broker does not answer; trying again", "broker", l.broker, "error", err)
	}
	return kafka.Sleep(ctx, max(f.backoff().Delay(failures), reassignSoon))
}

func (f *Fetcher) committed() bool { return f.cfg.IsolationLevel == kafka.ReadCommitted }

// endRequest applies the answer to a request, or err. It reports whether the answer had records or errors of
// partitions.
func (f *Fetcher) endRequest(l *loop, r *request, res *wire.FetchResponse, err error) (worked bool) {
	var segments []*segment
	var refused []refusal
	if err == nil {
		segments, refused = f.scanAnswer(l, r, res)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range segments {
		// A partition that is read elsewhere by now, or at another offset, has been asked for a second time.
		if s.part.broker != l.broker || s.part.next != s.from {
			continue
		}
		if f.cfg.ClientRack != "" && s.replica >= 0 && s.replica != l.broker {
			worked = true
			f.readReplicaLocked(s.part, s.replica)
			continue
		}
		worked = worked || s.next > s.from
		if f.movedLocked(s) {
			f.pushLocked(s)
		}
	}
	for _, e := range refused {
		if e.part.broker == l.broker && e.part.next == e.from {
			worked = true
			f.refusedLocked(e.asked, e.err)
		}
	}
	if err != nil && !isSessionError(err) {
		f.leaveReplicasLocked(l)
	}
	if r.beside {
		l.extraRequest, l.failed = false, err != nil
		signal(l.wake)
		return worked
	}
	l.endSession(r, res, err)
	l.waiting, l.failed = false, false
	l.crowded = res != nil && res.Size >= r.limit/2
	return worked
}

// refusal is an error code for one partition.
type refusal struct {
	asked
	err error
}

// scanAnswer scans the records of each partition in an answer.
func (f *Fetcher) scanAnswer(l *loop, r *request, res *wire.FetchResponse) (segments []*segment, refused []refusal) {
	f.mu.Lock()
	found := make([]asked, len(res.Partitions))
	for i := range res.Partitions {
		fp := &res.Partitions[i]
		found[i] = l.find(r, kafka.TopicPartition{Topic: fp.Topic, Partition: fp.Partition})
		if p := found[i].part; p != nil && fp.Code == 0 {
			p.end = fp.HighWatermark
		}
	}
	f.mu.Unlock()
	seen := make(map[*partition]bool, len(found))
	for i := range res.Partitions {
		fp, a := &res.Partitions[i], found[i]
		if a.part == nil || seen[a.part] {
			continue // nobody asked, or it came twice
		}
		seen[a.part] = true
		if err := kafka.CodeErr(fp.Code); err != nil {
			refused = append(refused, refusal{a, err})
			continue
		}
		s := &segment{part: a.part, from: a.from, replica: fp.Preferred, highWatermark: fp.HighWatermark,
			bytes: len(fp.Records)}
		s.items, s.next, s.cutOff = scan(fp, a.from, f.committed())
		segments = append(segments, s)
	}
	return segments, refused
}

// movedLocked sets where a partition goes on after a segment. It reports whether there is something in the
// segment to see.
func (f *Fetcher) movedLocked(s *segment) bool {
	p := s.part
	p.next, p.attempt = s.next, 0
	f.changedLocked(p)
	if p.denied {
		p.denied = false
		f.log.Info("fetch: the partition may be read again", "topic", p.Topic, "partition", p.Partition, "offset", s.from)
	}
	if s.cutOff {
		p.cutOff++
		p.retryAt = time.Now().Add(reassignSoon)
		if p.cutOff >= maxCutOff {
			s.items = []item{{err: &PartitionError{Topic: p.Topic, Partition: p.Partition, Offset: s.from, Next: -1,
				Err: errCutOff}}}
		}
	} else {
		p.cutOff = 0
	}
	for _, it := range s.items {
		if it.err != nil {
			f.corrupt.Add(1)
			p.stopped = p.stopped || it.err.Next < 0
		}
	}
	if s.next > s.from {
		f.rounds++
		p.served = f.rounds
	}
	if s.next == s.from && len(s.items) == 0 {
		return false
	}
	return true
}

var errCutOff = errors.New("the broker sent the first batch cut off, again and again")

// refusedLocked applies an error code for one partition.
func (f *Fetcher) refusedLocked(a asked, err error) {
	p := a.part
	f.changedLocked(p)
	switch code, _ := errors.AsType[kafka.CodeError](err); {
	case p.broker != p.leader:
		// A replica may lag behind, or have lost its role: its leader knows what is true.
		f.leaveReplicaLocked(p)
	case code == outOfRange:
		f.outOfRange.Add(1)
		if f.opts.OutOfRange == kafka.NoReset {
			f.stopLocked(p, a.from, ErrOutOfRange)
			return
		}
		p.next, p.at = -1, kafka.FirstOffset
		if f.opts.OutOfRange == kafka.Latest {
			p.at = kafka.EndOffset
		}
		f.log.Warn("fetch: the broker does not have this offset; starting again", "topic", p.Topic, "partition", p.Partition,
			"offset", a.from, "at", f.opts.OutOfRange)
		f.wakeRouter()
	case kafka.Classify(err) == kafka.Denied:
		f.deniedLocked(p, a.from, err)
	case !kafka.Classify(err).Retriable():
		f.stopLocked(p, a.from, err)
	default:
		if p.attempt == 0 {
			f.log.Debug("fetch: a partition cannot be read now", "topic", p.Topic, "partition", p.Partition, "error", err)
		}
		p.retryAt = time.Now().Add(max(f.backoff().Delay(p.attempt), reassignSoon))
		p.attempt++
		f.invalidateMetadata()
	}
}

const outOfRange = kafka.CodeError(1)
