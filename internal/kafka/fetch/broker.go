package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	kfetch "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const (
	// fetchGrace is what a fetch may take beyond the time that the broker may hold it.
	fetchGrace = 5 * time.Second
	// leastFetch is what a fetch asks for at least, however many brokers share the buffer.
	leastFetch = 1 << 20
	// maxCutOff is how often in a row a partition's first batch may come cut off. Once it is the first
	// partition of the request, its first batch comes whole, whatever its size.
	maxCutOff = 10
)

// loop fetches from one broker.
type loop struct {
	broker int32
	wake   chan struct{} // its partitions may have changed
}

// asked is a partition as it stands in one request.
type asked struct {
	part *partition
	from int64
}

func (f *Fetcher) startLocked(ctx context.Context, broker int32) {
	l := &loop{broker: broker, wake: make(chan struct{}, 1)}
	f.loops[broker] = l
	f.wg.Go(func() { f.fetch(ctx, l) })
}

// fetch asks one broker for its partitions again and again, until it leads none of them or ctx ends. An
// answer goes to the queue as it is; while its records are decoded the next one is on its way.
func (f *Fetcher) fetch(ctx context.Context, l *loop) {
	for failures := 0; ; {
		if f.queue.waitRoom(ctx) != nil {
			return
		}
		parts, wait, over := f.take(l)
		if over {
			return
		}
		if len(parts) == 0 {
			if !l.sleep(ctx, wait) {
				return
			}
			continue
		}
		began := time.Now()
		res, err := f.ask(ctx, l, parts, failures)
		if err != nil {
			f.giveBack(parts)
			if ctx.Err() != nil {
				return
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
		progress := f.answered(parts, res)
		pause := time.Duration(res.ThrottleMs) * time.Millisecond
		if !progress && time.Since(began) < f.cfg.FetchMaxWait/2 {
			pause = max(pause, regroupSoon) // it answered nothing and did not wait: do not spin
		}
		if pause > 0 && kafka.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// sleep waits until the loop is woken, or for d if that is positive. It reports whether ctx goes on.
func (l *loop) sleep(ctx context.Context, d time.Duration) bool {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-l.wake:
	case <-after:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// take marks the partitions for the loop's next request as busy and returns them: first those that have
// been without records for the longest time, because a broker fills its answer in the order of the
// request, and the first could starve the last. Without any, wait says when to look again; 0 is when
// woken. It is over, and the loop forgotten, when the broker leads none.
func (f *Fetcher) take(l *loop) (parts []asked, wait time.Duration, over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	leads := false
	for _, p := range f.partitions {
		if p.leader != l.broker {
			continue
		}
		leads = true
		switch {
		case p.paused, p.stopped, p.next < 0, p.busy, p.queued >= f.partitionBytes():
		case p.retryAt.After(now):
			if d := p.retryAt.Sub(now); wait == 0 || d < wait {
				wait = d
			}
		default:
			p.busy = true
			parts = append(parts, asked{p, p.next})
		}
	}
	if !leads {
		delete(f.loops, l.broker)
		return nil, 0, true
	}
	slices.SortFunc(parts, func(a, b asked) int {
		return cmp.Or(cmp.Compare(a.part.served, b.part.served),
			strings.Compare(a.part.Topic, b.part.Topic), cmp.Compare(a.part.Partition, b.part.Partition))
	})
	return parts, wait, false
}

// giveBack ends a request that has come to nothing.
func (f *Fetcher) giveBack(parts []asked) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range parts {
		a.part.busy = false
		f.wakeLocked(a.part.leader)
	}
}

// ask sends one request. After failures it may take longer, for slow links.
func (f *Fetcher) ask(ctx context.Context, l *loop, parts []asked, failures int) (*wire.FetchResponse, error) {
	f.mu.Lock()
	share := f.opts.MaxBuffered / max(len(f.loops), 1)
	f.mu.Unlock()
	req := &wire.FetchRequest{Leader: l.broker, ClientID: f.cfg.ClientID, Request: kfetch.Request{
		ReplicaID: -1, SessionEpoch: -1,
		MaxWaitTime: int32(f.cfg.FetchMaxWait.Milliseconds()),
		MinBytes:    int32(f.cfg.FetchMinBytes),
		MaxBytes:    int32(min(f.cfg.FetchMaxBytes, max(share, leastFetch))),
	}}
	if f.committed() {
		req.IsolationLevel = 1
	}
	for _, a := range parts {
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
	wait := f.cfg.FetchMaxWait
	timeout := min(wait+fetchGrace<<min(failures, 10), max(f.cfg.RequestTimeout, wait+fetchGrace))
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
	f.misled() // other brokers may lead by now
	if kafka.Classify(err) == kafka.Denied {
		f.queue.report(&BrokerError{Broker: l.broker, Err: err})
		return kafka.Sleep(ctx, slowly)
	}
	if failures == 0 {
		f.log.Warn("fetch: the broker does not answer; trying again", "broker", l.broker, "error", err)
	}
	return kafka.Sleep(ctx, max(f.backoff().Delay(failures), regroupSoon))
}

func (f *Fetcher) committed() bool { return f.cfg.IsolationLevel == kafka.ReadCommitted }

// answered takes in what came for each partition of a request. It reports whether any of them has moved
// on.
func (f *Fetcher) answered(parts []asked, res *wire.FetchResponse) (progress bool) {
	byName := make(map[kafka.TopicPartition]asked, len(parts))
	for _, a := range parts {
		byName[a.part.TopicPartition] = a
	}
	var segments []*segment
	for i := range res.Partitions {
		fp := &res.Partitions[i]
		a, ok := byName[kafka.TopicPartition{Topic: fp.Topic, Partition: fp.Partition}]
		if !ok {
			continue // nobody asked, or it came twice
		}
		delete(byName, a.part.TopicPartition)
		if err := kafka.CodeErr(fp.Code); err != nil {
			f.refused(a, err)
			continue
		}
		s := &segment{part: a.part, from: a.from, highWatermark: fp.HighWatermark, bytes: len(fp.Records)}
		var cutOff bool
		s.items, s.next, cutOff = scan(fp, a.from, f.committed())
		if f.moved(a, s, cutOff) {
			segments = append(segments, s)
		}
		progress = progress || s.next > a.from
	}
	f.queue.push(segments...)
	f.giveBack(parts)
	return progress
}

// moved takes in where a partition goes on after a segment. It reports whether there is something in the
// segment to see.
func (f *Fetcher) moved(a asked, s *segment, cutOff bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := a.part
	p.next, p.attempt = s.next, 0
	if cutOff {
		p.cutOff++
		p.retryAt = time.Now().Add(regroupSoon)
		if p.cutOff >= maxCutOff {
			s.items = []item{{err: &PartitionError{Topic: p.Topic, Partition: p.Partition, Offset: a.from, Next: -1, Err: errCutOff}}}
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
	if s.next > a.from {
		f.rounds++
		p.served = f.rounds
	}
	if s.next == a.from && len(s.items) == 0 {
		return false
	}
	p.queued += s.bytes
	return true
}

var errCutOff = errors.New("the broker sent the first batch cut off, again and again")

// refused takes in an error code for one partition.
func (f *Fetcher) refused(a asked, err error) {
	p := a.part
	switch code, _ := errors.AsType[kafka.CodeError](err); {
	case code == outOfRange:
		f.outOfRange.Add(1)
		if f.opts.OutOfRange == kafka.NoReset {
			f.stop(p, a.from, ErrOutOfRange)
			return
		}
		at := kafka.FirstOffset
		if f.opts.OutOfRange == kafka.Latest {
			at = kafka.EndOffset
		}
		f.log.Warn("fetch: the broker does not have this offset; starting again", "topic", p.Topic, "partition", p.Partition, "offset", a.from, "at", f.opts.OutOfRange)
		f.mu.Lock()
		p.next, p.at = -1, at
		f.mu.Unlock()
	case !kafka.Classify(err).Retriable():
		f.stop(p, a.from, err)
		return
	default:
		f.mu.Lock()
		if p.attempt == 0 {
			f.log.Debug("fetch: a partition cannot be read now", "topic", p.Topic, "partition", p.Partition, "error", err)
		}
		p.retryAt = time.Now().Add(max(f.backoff().Delay(p.attempt), regroupSoon))
		p.attempt++
		f.mu.Unlock()
		f.misled()
		return
	}
	f.poke()
}

const outOfRange = kafka.CodeError(1)
