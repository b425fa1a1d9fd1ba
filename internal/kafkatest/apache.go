package kafkatest

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

const (
	startTimeout   = 5 * time.Minute // the first start on a machine downloads Kafka
	restartTimeout = 2 * time.Minute
)

// apacheProvider runs Apache Kafka as Java processes. A runner of several test binaries can start one broker for all
// and name it in KAFKATEST_SHARED. Tests that ask for a cluster of their own still get one.
type apacheProvider struct{ version, shared string }

func (apacheProvider) cannot(r request) string {
	if r.needsKfake {
		return needsEmbedded
	}
	return ""
}

func (p apacheProvider) start(r request) (backend, error) {
	if p.shared != "" && !r.own && r.nodes == 1 {
		return external{addrs: []string{p.shared}}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := apache.Start(ctx, apache.Options{
		Version: p.version, Nodes: r.nodes, Properties: r.props, User: r.user, Password: r.password,
	})
	if err != nil {
		return nil, err
	}
	return processes{c}, nil
}

// processes is a backend of Java processes.
type processes struct{ cluster *apache.Cluster }

func (p processes) servers() []string    { return p.cluster.Servers() }
func (p processes) real() bool           { return true }
func (p processes) fake() *kfake.Cluster { return nil }
func (p processes) canKill() bool        { return true }
func (p processes) log() string          { return p.cluster.Log() }
func (p processes) stop() error          { return p.cluster.Close() }

func (p processes) kill(node int) error {
	p.cluster.Kill(node)
	return nil
}

func (p processes) restart(node int) error {
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	defer cancel()
	return p.cluster.Restart(ctx, node)
}
