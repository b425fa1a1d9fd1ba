// Package inspect reads the state of a cluster from outside: its streams, its groups and their members, the lag of
// each group, and its dead letters. The commands of kafkaesk print its structs and bus/monitor serves them, so that
// both show the same. It writes nothing.
package inspect

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Inspector inspects the streams of one topic prefix. Its methods may be called concurrently. Each call asks the
// brokers: a frequent caller should cache the results. Methods repeat requests after transient errors until ctx ends.
type Inspector struct {
	client *kafka.Client
	prefix string
	now    func() time.Time
}

// New returns an Inspector that uses client. The caller keeps ownership of client and closes it.
func New(client *kafka.Client, prefix string) *Inspector {
	return &Inspector{client: client, prefix: prefix, now: time.Now}
}

// stream returns a topic's stream, and whether the topic has the prefix and is not internal to Kafka.
func (i *Inspector) stream(topic string) (string, bool) {
	stream, ok := strings.CutPrefix(topic, i.prefix)
	return stream, ok && stream != "" && !strings.HasPrefix(topic, "__")
}

// Info describes the inspected cluster.
type Info struct {
	TopicPrefix string   `json:"topic_prefix"`
	Brokers     []Broker `json:"brokers"`
}

// Broker is a live broker.
type Broker struct {
	ID      int32  `json:"id"`
	Address string `json:"address"`
}

// Info returns the live brokers.
func (i *Inspector) Info(ctx context.Context) (Info, error) {
	cluster, err := i.client.Topics(ctx)
	if err != nil {
		return Info{}, err
	}
	info := Info{TopicPrefix: i.prefix, Brokers: make([]Broker, len(cluster.Brokers))}
	for n, b := range cluster.Brokers {
		info.Brokers[n] = Broker{ID: b.ID, Address: b.Address()}
	}
	return info, nil
}

// atOnce is the number of groups that are queried concurrently.
const atOnce = 8

// each calls do for every name, up to atOnce concurrently, and returns the first error in the order of the names.
func each(names []string, do func(n int, name string) error) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for n, name := range names {
		free <- struct{}{}
		wg.Go(func() {
			errs[n] = do(n, name)
			<-free
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("inspect: %w", err)
		}
	}
	return nil
}
