package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// longestTopic is how long a topic's name may be.
const longestTopic = 249

// ownStreams returns the streams that the subscription writes to when records of a stream fail: the dead letters, and
// one for each delay.
func (s *subscription) ownStreams(stream string) []string {
	if !s.deadLetter {
		return nil
	}
	var names []string
	if !isSecondDead(stream) {
		names = append(names, stream+"."+s.group+deadSuffix)
	}
	for i := range s.delays {
		names = append(names, stream+"."+s.group+retryInfix+strconv.Itoa(i+1))
	}
	return names
}

// ownNames checks the names of the topics that subscriptions write failed records to. Kafka refuses some names, and the
// application has to learn that before the first record fails.
type ownNames struct {
	prefix string

	mu    sync.Mutex
	names map[string]string // topics that are written to, by their name as Kafka compares it
}

func newOwnNames(prefix string) *ownNames {
	return &ownNames{prefix: prefix, names: make(map[string]string)}
}

// compared returns a topic's name as Kafka compares it with others: '.' and '_' are one to it, as they are in the names
// of its metrics.
func compared(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// check returns why the subscription's failed records of a stream cannot be written; nil if they can. existing are the
// topics of the cluster, as far as they are known. It does no I/O.
func (n *ownNames) check(s *subscription, stream string, existing map[string]*kafka.Topic) error {
	streams := s.ownStreams(stream)
	if len(streams) == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, own := range streams {
		topic := n.prefix + own
		if len(topic) > longestTopic {
			return fmt.Errorf("group %q: failed records of stream %q would go to topic %q, which has %d characters where Kafka "+
				"allows %d: shorten the name of the group, the stream or the prefix", s.group, stream, topic, len(topic),
				longestTopic)
		}
		other, found := n.names[compared(topic)]
		if !found {
			other, found = colliding(existing, topic)
		}
		if found && other != topic {
			return fmt.Errorf("group %q: failed records of stream %q would go to topic %q, which Kafka does not take beside "+
				"topic %q, because '.' and '_' are one to it in names: rename the group or the stream", s.group, stream,
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

// checkNamed checks the streams that subscriptions name.
func (n *ownNames) checkNamed(subscriptions []*subscription, existing map[string]*kafka.Topic) error {
	for _, s := range subscriptions {
		for _, pattern := range s.patterns {
			if fnmatch.HasMeta(pattern) {
				continue
			}
			if err := n.check(s, pattern, existing); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNames returns what is wrong with the names of groups and streams of all subscriptions together, before anything
// runs, and without a broker.
func checkNames(prefix string, subscriptions []*subscription) error {
	if err := checkDefaults(subscriptions); err != nil {
		return err
	}
	return newOwnNames(prefix).checkNamed(subscriptions, nil)
}

// checkRunners checks, when a run begins, the streams that are named and those that exist. It returns the first error.
func (n *ownNames) checkRunners(runners []*runner, existing map[string]*kafka.Topic) error {
	for _, x := range runners {
		if err := n.checkNamed([]*subscription{x.subscription}, existing); err != nil {
			return err
		}
		for _, topic := range slices.Sorted(maps.Keys(existing)) {
			if existing[topic].Internal || !x.streams.match(topic) {
				continue
			}
			if err, _ := x.refused(topic, existing); err != nil {
				return err
			}
		}
	}
	return nil
}

// reads reports whether to read a topic. One that appears while the App runs, and whose failed records could not be
// written, is not read.
func (x *runner) reads(topic string) bool {
	if !x.streams.match(topic) {
		return false
	}
	err, first := x.refused(topic, x.conn.client.KnownTopics())
	if err != nil && first {
		x.log.Error("bus: a stream is not read, because its failed records could not be written",
			"stream", x.conn.stream(topic), "error", err)
	}
	return err == nil
}

// refused returns why a topic that matches is not read, and whether this is the first call for the topic. It does no
// I/O, because members ask it while they join, and Health waits for its lock.
func (x *runner) refused(topic string, existing map[string]*kafka.Topic) (err error, first bool) {
	if !x.deadLetter || x.streams.own(topic) {
		return nil, false
	}
	x.checks.Lock()
	defer x.checks.Unlock()
	err, known := x.checked[topic]
	if !known {
		err = x.names.check(x.subscription, x.conn.stream(topic), existing)
		x.checked[topic] = err
	}
	return err, !known
}

// notRead returns why streams that match are not read.
func (x *runner) notRead() error {
	x.checks.Lock()
	defer x.checks.Unlock()
	var errs []error
	for _, topic := range slices.Sorted(maps.Keys(x.checked)) {
		if err := x.checked[topic]; err != nil {
			errs = append(errs, fmt.Errorf("stream %q is not read: %w", x.conn.stream(topic), err))
		}
	}
	return errors.Join(errs...)
}
