package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// checkNames returns what is wrong with the names of groups and streams of all subscriptions together, before anything
// runs, and without a broker.
func checkNames(prefix string, subscriptions []*subscription) error {
	if err := checkDefaults(subscriptions); err != nil {
		return err
	}
	names := streams.NewCollisions(prefix)
	for _, s := range subscriptions {
		if err := names.CheckNamed(s.names(), nil); err != nil {
			return err
		}
	}
	return nil
}

// checkRunners checks, when a run begins, the streams that are named and those that exist. It returns the first error.
func checkRunners(names *streams.Collisions, runners []*runner, existing map[string]*kafka.Topic) error {
	for _, x := range runners {
		if err := names.CheckNamed(x.subscription.names(), existing); err != nil {
			return err
		}
		for _, topic := range slices.Sorted(maps.Keys(existing)) {
			if existing[topic].Internal || !x.streams.Match(topic) {
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
	if !x.streams.Match(topic) {
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
	if !x.deadLetter || x.streams.IsOwn(topic) {
		return nil, false
	}
	x.checks.Lock()
	defer x.checks.Unlock()
	err, known := x.checked[topic]
	if !known {
		err = x.collisions.Check(x.subscription.names(), x.conn.stream(topic), existing)
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
