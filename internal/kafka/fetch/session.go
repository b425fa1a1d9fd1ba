package fetch

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	kfetch "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// session is a fetch session (KIP-227): the broker knows its partitions and their offsets, and gets only what has
// changed.
type session struct {
	id        int32 // 0 = none
	epoch     int32 // of the next request; 0 asks for a new session
	members   map[kafka.TopicPartition]asked
	forgotten map[kafka.TopicPartition]struct{} // no members any longer, which the broker is yet to be told
}

// asked is a partition as it stands in one request, or in a session.
type asked struct {
	part *partition
	from int64
}

// request is one fetch.
type request struct {
	beside    bool // without a session
	session   int32
	epoch     int32
	wait      time.Duration // for how long the broker may hold it
	limit     int           // bytes of the answer
	parts     []asked       // with a session: those that are new to it, or have moved on
	forgotten []kafka.TopicPartition
}

const noSession = -1 // the epoch of a request without a session

// readableLocked reports whether a loop may ask for a partition now. Where only its pause after a failure is not
// over, wait says how long that takes.
func (f *Fetcher) readableLocked(l *loop, p *partition, now time.Time) (ok bool, wait time.Duration) {
	if f.partitions[p.TopicPartition] != p || p.broker != l.broker || p.paused || p.stopped || p.next < 0 ||
		p.queued >= f.partitionBytes() {
		return false, 0
	}
	if p.retryAt.After(now) {
		return false, p.retryAt.Sub(now)
	}
	return true, 0
}

// sessionRequest returns the next request of a loop's session, and marks it as being on its way. Without one, wait
// says when to look again; 0 is when woken. over says that no partition is read at the broker any more; the
// loop has been removed then.
func (f *Fetcher) sessionRequest(l *loop) (r *request, wait time.Duration, closing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.led == 0 {
		if f.loops[l.broker] == l {
			delete(f.loops, l.broker)
		}
		return nil, 0, true
	}
	if l.extraRequest {
		return nil, 0, false // its partitions are to be in this request
	}
	now, s := time.Now(), &l.session
	var parts []asked
	for p := range l.changed {
		ok, pause := f.readableLocked(l, p, now)
		m, member := s.members[p.TopicPartition]
		member = member && m.part == p
		switch {
		case ok && !(member && m.from == p.next):
			parts = append(parts, asked{p, p.next})
		case !ok && member:
			delete(s.members, p.TopicPartition)
			s.forgotten[p.TopicPartition] = struct{}{}
		}
		if pause > 0 {
			wait = shorter(wait, pause)
		} else {
			delete(l.changed, p)
		}
	}
	if l.crowded {
		// Named again, those that have been without records come first. Kafka sees to that by itself, other brokers do not.
		l.crowded = false
		for _, m := range s.members {
			if _, changed := l.changed[m.part]; !changed && m.from == m.part.next {
				parts = append(parts, m)
			}
		}
	}
	for _, a := range parts {
		s.members[a.part.TopicPartition] = a
		delete(s.forgotten, a.part.TopicPartition)
	}
	if len(s.members) == 0 {
		return nil, wait, false
	}
	r = &request{session: s.id, epoch: s.epoch, wait: f.cfg.FetchMaxWait, parts: inOrder(parts)}
	for tp := range s.forgotten {
		r.forgotten = append(r.forgotten, tp)
	}
	slices.SortFunc(r.forgotten, kafka.TopicPartition.Compare)
	clear(s.forgotten)
	l.waiting = true
	if len(l.changed) > 0 {
		signal(l.beside) // some become due while it is on its way
	}
	return r, 0, false
}

// besideRequest returns a request for the partitions that may be read and are not in the session's, which is on its
// way. Without one, wait says when to look again; 0 is when woken.
func (f *Fetcher) besideRequest(l *loop) (r *request, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !l.waiting || l.extraRequest || l.failed {
		return nil, 0
	}
	now := time.Now()
	var parts []asked
	for p := range l.changed {
		if m, member := l.session.members[p.TopicPartition]; member && m.part == p {
			continue
		}
		ok, pause := f.readableLocked(l, p, now)
		switch {
		case ok:
			parts = append(parts, asked{p, p.next})
		case pause > 0:
			wait = shorter(wait, pause)
		}
	}
	if len(parts) == 0 {
		return nil, wait
	}
	l.extraRequest = true
	return &request{beside: true, epoch: noSession, wait: min(besideWait, f.cfg.FetchMaxWait), parts: inOrder(parts)}, 0
}

func shorter(wait, pause time.Duration) time.Duration {
	if wait == 0 {
		return pause
	}
	return min(wait, pause)
}

// inOrder sorts partitions for a request: first those that have been without records for the longest time, because a
// broker fills its answer in that order, and the first could starve the last. Within a session the broker itself puts
// those last that had records.
func inOrder(parts []asked) []asked {
	slices.SortFunc(parts, func(a, b asked) int {
		return cmp.Or(cmp.Compare(a.part.served, b.part.served), a.part.Compare(b.part.TopicPartition))
	})
	return parts
}

// find returns the partition of an answer as it was asked for; without a partition if it was not.
func (l *loop) find(r *request, tp kafka.TopicPartition) asked {
	if !r.beside {
		return l.session.members[tp]
	}
	for _, a := range r.parts {
		if a.part.TopicPartition == tp {
			return a
		}
	}
	return asked{}
}

// endSession applies an answer, or an error, to the session. After an error the session begins anew, because the broker
// may or may not have seen the request.
func (l *loop) endSession(r *request, res *wire.FetchResponse, err error) {
	s := &l.session
	switch {
	case err != nil && errors.Is(err, errSessionNotFound):
		l.dropSession(0)
	case err != nil:
		l.dropSession(s.id)
	case res.Session == 0:
		l.dropSession(0) // the broker has no room for it
	case s.epoch == math.MaxInt32:
		s.epoch = 1
	default:
		s.id = res.Session
		s.epoch++
	}
}

// dropSession begins anew. The broker lets go of the session id, unless that is 0, when it is asked for the next.
func (l *loop) dropSession(id int32) {
	s := &l.session
	for _, a := range s.members {
		l.changed[a.part] = struct{}{}
	}
	clear(s.members)
	clear(s.forgotten)
	s.id, s.epoch = id, 0
}

// These are the answers of a broker whose view of the session differs from ours.
const (
	errSessionNotFound = kafka.CodeError(70) // FETCH_SESSION_ID_NOT_FOUND: it was restarted, or has evicted the session
	errSessionEpoch    = kafka.CodeError(71) // INVALID_FETCH_SESSION_EPOCH
	errSessionTopicID  = kafka.CodeError(106)
)

func isSessionError(err error) bool {
	return errors.Is(err, errSessionNotFound) || errors.Is(err, errSessionEpoch) || errors.Is(err, errSessionTopicID)
}

// forgottenTopics are the partitions that leave the session, as the message has them.
func (r *request) forgottenTopics() (topics []kfetch.RequestForgottenTopic) {
	for _, tp := range r.forgotten {
		n := len(topics)
		if n == 0 || topics[n-1].Topic != tp.Topic {
			topics = append(topics, kfetch.RequestForgottenTopic{Topic: tp.Topic})
			n++
		}
		topics[n-1].Partitions = append(topics[n-1].Partitions, tp.Partition)
	}
	return topics
}
