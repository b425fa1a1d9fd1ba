package group

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// term is one generation as its commits see it: what may be sent in it, and what has become of that. It does no I/O.
// The committer's turn guards it.
//
// A request that was not answered may be carried out later, when its connection comes to life again; then it must not
// undo a newer one. So nothing lower than what was ever sent is sent, and what was in an unanswered request is sent
// again, until it has been acknowledged twice: once may have been before the straggler.
type term struct {
	who    identity
	ctx    context.Context // ends with the term
	cancel context.CancelFunc
	over   bool // the coordinator has refused us

	// acknowledged, or found at the beginning; -1 = none. Its keys are the member's partitions
	committed map[kafka.TopicPartition]int64
	sent      map[kafka.TopicPartition]int64 // the highest that was ever sent
	unsure    map[kafka.TopicPartition]int   // acknowledgements to go
	gone      map[kafka.TopicPartition]bool  // of topics that were deleted
}

const acknowledgements = 2 // after an unanswered request

// errGone: a partition's topic has been deleted. It ends no term.
var errGone = fmt.Errorf("%w: its topic has been deleted", ErrRevoked)

func newTerm(ctx context.Context, who identity, found map[kafka.TopicPartition]int64) *term {
	t := &term{
		who:       who,
		committed: maps.Clone(found),
		sent:      make(map[kafka.TopicPartition]int64),
		unsure:    make(map[kafka.TopicPartition]int),
		gone:      make(map[kafka.TopicPartition]bool),
	}
	if t.committed == nil {
		t.committed = make(map[kafka.TopicPartition]int64)
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

// forget takes back what is known of a partition: lower offsets may be sent.
func (t *term) forget(p kafka.TopicPartition) {
	if _, mine := t.committed[p]; mine {
		t.committed[p] = -1
		delete(t.sent, p)
		delete(t.unsure, p)
	}
}

// due returns what has to be sent for offsets to be committed. Partitions that are not the member's are left out.
func (t *term) due(offsets map[kafka.TopicPartition]int64) map[kafka.TopicPartition]int64 {
	due := make(map[kafka.TopicPartition]int64)
	for p, offset := range offsets {
		committed, mine := t.committed[p]
		if mine && !t.gone[p] && offset > committed {
			due[p] = offset
		}
	}
	for p := range t.unsure {
		due[p] = max(due[p], t.committed[p])
	}
	for p := range due {
		due[p] = max(due[p], t.sent[p])
		t.sent[p] = due[p]
	}
	return due
}

// behind reports whether one acknowledgement more does not do, because of an unanswered request.
func (t *term) behind() bool {
	for _, n := range t.unsure {
		if n > 1 {
			return true
		}
	}
	return false
}

// holds reports whether all of offsets are committed.
func (t *term) holds(offsets map[kafka.TopicPartition]int64) bool {
	for p, offset := range offsets {
		if committed, mine := t.committed[p]; mine && committed < offset {
			return false
		}
	}
	return true
}

// settle notes what has become of a request. It returns an error when some of it was not committed: ErrRevoked when the
// term is over, else one that faultOf and errors.Is know. A partition whose topic is there no longer, says exists, is
// given up.
func (t *term) settle(due map[kafka.TopicPartition]int64, results map[kafka.TopicPartition]error, failed error,
	exists func(topic string) bool) error {
	if failed != nil {
		for p := range due {
			t.unsure[p] = acknowledgements
		}
		return failed
	}
	var worst error
	for p, offset := range due {
		err, answered := results[p]
		switch code, _ := errors.AsType[kafka.CodeError](err); {
		case !answered:
			err = errors.New("the broker left it out of its answer")
		case err == nil:
			t.committed[p] = max(t.committed[p], offset)
			if t.unsure[p]--; t.unsure[p] <= 0 {
				delete(t.unsure, p)
			}
			continue
		case faultOf(err).endsTerm():
			t.over = true
		case code == codeUnknownTopic && !exists(p.Topic):
			t.gone[p] = true
			delete(t.unsure, p)
			err = errGone
		}
		if err = fmt.Errorf("%s: %w", p, err); worse(err, worst) {
			worst = err
		}
	}
	if t.over {
		return fmt.Errorf("%w: %w", ErrRevoked, worst)
	}
	return worst
}

// worse reports whether an error of one partition has more to say than that of another.
func worse(err, than error) bool {
	rank := func(err error) int {
		switch f := faultOf(err); {
		case err == nil:
			return 0
		case errors.Is(err, errGone):
			return 1
		case f == passing:
			return 2
		case !f.endsTerm():
			return 3
		default:
			return 4
		}
	}
	return rank(err) > rank(than)
}
