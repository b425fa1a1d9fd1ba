package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
)

// image is Confluent's Kafka 3.5, because the Kafka module of testcontainers can configure only such images.
const image = "confluentinc/confluent-local:7.5.0"

// errContainer is why a container cannot be killed: Docker gives it another port at its next start.
var errContainer = errors.New("a container cannot be restarted on its port")

// dockerProvider runs containers of one broker each.
type dockerProvider struct{}

func (dockerProvider) cannot(r request) string {
	switch {
	case r.needsKfake:
		return needsEmbedded
	case r.nodes > 1:
		return fmt.Sprintf("needs %d brokers and KAFKA=docker has one: run with KAFKA=apache", r.nodes)
	case len(r.props) > 0 || r.user != "":
		return "needs properties of its own and KAFKA=docker has none: run with KAFKA=apache"
	}
	if err := dockerHealth(); err != nil {
		return fmt.Sprintf("no Docker daemon: %v", err)
	}
	return ""
}

// dockerHealth pings the daemon. testcontainers panics when it finds no address of one.
func dockerHealth() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	return errors.Join(p.Health(context.Background()), p.Close())
}

func (dockerProvider) start(request) (backend, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := kafka.Run(ctx, image, testcontainers.WithEnv(map[string]string{
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "100",
		"KAFKA_NUM_PARTITIONS":               "4",
	}))
	if err != nil {
		return nil, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	addrs, err := c.Brokers(ctx)
	if err != nil {
		return nil, errors.Join(err, testcontainers.TerminateContainer(c))
	}
	return container{addrs: addrs, c: c}, nil
}

// container is a broker in a container.
type container struct {
	addrs []string
	c     *kafka.KafkaContainer
}

func (d container) servers() []string    { return d.addrs }
func (d container) real() bool           { return true }
func (d container) fake() *kfake.Cluster { return nil }
func (d container) canKill() bool        { return false }
func (d container) kill(int) error       { return errContainer }
func (d container) restart(int) error    { return errContainer }
func (d container) stop() error          { return testcontainers.TerminateContainer(d.c) }

func (d container) log() string {
	logs, err := d.c.Logs(context.Background())
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	return string(text[max(0, len(text)-8<<10):])
}
