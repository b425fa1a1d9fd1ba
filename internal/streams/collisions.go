package streams

import (
	"fmt"
	"strings"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Collisions checks the names of the topics that subscriptions write failed records to. Kafka refuses some names, and
// the application has to learn that before the first record fails.
type Collisions struct {
	prefix string

	mu    sync.Mutex
	names map[string]string // topics that are written to, by their name as Kafka compares it
}

// NewCollisions returns the Collisions of topics with a prefix.
func NewCollisions(prefix string) *Collisions {
	return &Collisions{prefix: prefix, names: make(map[string]string)}
}

// compared returns a topic's name as Kafka compares it with others: '.' and '_' are one to it, as they are in the names
// of its metrics.
func compared(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// Check returns why the subscription's failed records of a stream cannot be written; nil if they can. existing are the
// topics of the cluster, as far as they are known. It does no I/O.
func (n *Collisions) Check(s *Subscription, stream string, existing map[string]*kafka.Topic) error {
	own := s.own(stream)
	if len(own) == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range own {
		topic := n.prefix + name
		if len(topic) > LongestTopic {
			return fmt.Errorf("group %q: failed records of stream %q would go to topic %q, which has %d characters where Kafka "+
				"allows %d: shorten the name of the group, the stream or the prefix", s.Group, stream, topic, len(topic),
				LongestTopic)
		}
		other, found := n.names[compared(topic)]
		if !found {
			other, found = colliding(existing, topic)
		}
		if found && other != topic {
			return fmt.Errorf("group %q: failed records of stream %q would go to topic %q, which Kafka does not take beside "+
				"topic %q, because '.' and '_' are one to it in names: rename the group or the stream", s.Group, stream,
				topic, other)
		}
		n.names[compared(topic)] = topic
	}
	return nil
}

// colliding returns the topic beside which Kafka would not create another one.
func colliding(existing map[string]*kafka.Topic, topic string) (string, bool) {
	for name := range existing {
		if name != topic && collide(name, topic) {
			return name, true
		}
	}
	return "", false
}

// collide reports whether Kafka takes two names for the same. It allocates nothing: a cluster may have many thousand
// topics.
func collide(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if x, y := a[i], b[i]; x != y && !(x == '.' && y == '_' || x == '_' && y == '.') {
			return false
		}
	}
	return true
}

// CheckNamed checks the streams that the subscription names.
func (n *Collisions) CheckNamed(s *Subscription, existing map[string]*kafka.Topic) error {
	for _, pattern := range s.Patterns {
		if fnmatch.HasMeta(pattern) {
			continue
		}
		if err := n.Check(s, pattern, existing); err != nil {
			return err
		}
	}
	return nil
}
