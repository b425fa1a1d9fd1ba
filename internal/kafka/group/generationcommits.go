package group

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// generationCommits are the commits of one generation: which offsets may be sent, and which are acknowledged. It does
// no I/O. The committer's turn guards it.
//
// The broker may carry out an unanswered request later, when its connection works again. Such a late request must not
// undo a newer one. So no offset lower than one that was sent before is sent, and the offsets of an unanswered request
// are sent again until they have been acknowledged twice: the first acknowledgement may precede the late request.
type generationCommits struct {
	member  identity
	ctx     context.Context // ends with the generation
	cancel  context.CancelFunc
	refused bool // the coordinator has refused a commit of this generation

	// acknowledged, or found at the beginning; -1 = none. Its keys are the member's partitions
	committed      map[kafka.TopicPartition]int64
	sent           map[kafka.TopicPartition]int64 // the highest that was ever sent
	unacknowledged map[kafka.TopicPartition]int   // acknowledgements to go
	deleted        map[kafka.TopicPartition]bool  // of topics that were deleted
}

const acknowledgementsNeeded = 2 // after an unanswered request

// errDeleted says that a partition's topic has been deleted. It does not end the generation.
var errDeleted = fmt.Errorf("%w: its topic has been deleted", ErrRevoked)

func newGenerationCommits(
	ctx context.Context, member identity, found map[kafka.TopicPartition]int64,
) *generationCommits {
	g := &generationCommits{
		member:         member,
		committed:      maps.Clone(found),
		sent:           make(map[kafka.TopicPartition]int64),
		unacknowledged: make(map[kafka.TopicPartition]int),
		deleted:        make(map[kafka.TopicPartition]bool),
	}
	if g.committed == nil {
		g.committed = make(map[kafka.TopicPartition]int64)
	}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// forget removes what is known of a partition, so that lower offsets may be sent.
func (g *generationCommits) forget(p kafka.TopicPartition) {
	if _, mine := g.committed[p]; mine {
		g.committed[p] = -1
		delete(g.sent, p)
		delete(g.unacknowledged, p)
	}
}

// due returns what has to be sent for offsets to be committed. Partitions that are not the member's are left out.
func (g *generationCommits) due(offsets map[kafka.TopicPartition]int64) map[kafka.TopicPartition]int64 {
	due := make(map[kafka.TopicPartition]int64)
	for p, offset := range offsets {
		committed, mine := g.committed[p]
		if mine && !g.deleted[p] && offset > committed {
			due[p] = offset
		}
	}
	for p := range g.unacknowledged {
		due[p] = max(due[p], g.committed[p])
	}
	for p := range due {
		due[p] = max(due[p], g.sent[p])
		g.sent[p] = due[p]
	}
	return due
}

// needsAnotherAcknowledgement reports whether one acknowledgement more does not do, because of an unanswered request.
func (g *generationCommits) needsAnotherAcknowledgement() bool {
	for _, n := range g.unacknowledged {
		if n > 1 {
			return true
		}
	}
	return false
}

// holds reports whether all of offsets are committed.
func (g *generationCommits) holds(offsets map[kafka.TopicPartition]int64) bool {
	for p, offset := range offsets {
		if committed, mine := g.committed[p]; mine && committed < offset {
			return false
		}
	}
	return true
}

// recordResults records the answer to a commit request. It returns an error when some of it was not committed:
// ErrRevoked when the generation has ended, else one that faultOf and errors.Is know. Nothing more is sent for a
// partition whose topic does not exist any more.
func (g *generationCommits) recordResults(
	due map[kafka.TopicPartition]int64, results map[kafka.TopicPartition]error, failed error,
	exists func(topic string) bool,
) error {
	if failed != nil {
		for p := range due {
			g.unacknowledged[p] = acknowledgementsNeeded
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
			g.committed[p] = max(g.committed[p], offset)
			if g.unacknowledged[p]--; g.unacknowledged[p] <= 0 {
				delete(g.unacknowledged, p)
			}
			continue
		case faultOf(err).endsGeneration():
			g.refused = true
		case code == codeUnknownTopic && !exists(p.Topic):
			g.deleted[p] = true
			delete(g.unacknowledged, p)
			err = errDeleted
		}
		if err = fmt.Errorf("%s: %w", p, err); worse(err, worst) {
			worst = err
		}
	}
	if g.refused {
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
		case errors.Is(err, errDeleted):
			return 1
		case f == transient:
			return 2
		case !f.endsGeneration():
			return 3
		default:
			return 4
		}
	}
	return rank(err) > rank(than)
}
