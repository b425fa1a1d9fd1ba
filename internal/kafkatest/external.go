package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

// errNotOurs is why an external cluster is not killed.
var errNotOurs = errors.New("this Kafka is not ours to kill")

// externalProvider provides the cluster that KAFKA names.
type externalProvider struct{ addrs []string }

func (p externalProvider) cannot(r request) string {
	switch {
	case r.needsKfake:
		return needsEmbedded
	case r.own:
		return "needs a cluster of its own, and KAFKA=host:port is shared: run with KAFKA=apache"
	case r.nodes > 1:
		// A cluster that does not answer is not a reason to skip: start reports it.
		if ids, err := apache.Brokers(context.Background(), p.addrs[0]); err == nil && len(ids) < r.nodes {
			return fmt.Sprintf("needs %d brokers and %s has %d: run with KAFKA=apache", r.nodes,
				strings.Join(p.addrs, ","), len(ids))
		}
	}
	if r.shortSessions {
		return refusesShortSessions(p.addrs[0])
	}
	return ""
}

func (p externalProvider) start(request) (backend, error) {
	if _, err := apache.Brokers(context.Background(), p.addrs[0]); err != nil {
		return nil, err
	}
	return external(p), nil
}

// external is a cluster that this package does not run.
type external struct{ addrs []string }

func (e external) servers() []string    { return e.addrs }
func (e external) real() bool           { return true }
func (e external) fake() *kfake.Cluster { return nil }
func (e external) canKill() bool        { return false }
func (e external) kill(int) error       { return errNotOurs }
func (e external) restart(int) error    { return errNotOurs }
func (e external) log() string          { return "" }
func (e external) stop() error          { return nil }
