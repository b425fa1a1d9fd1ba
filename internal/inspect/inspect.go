// Package inspect looks at a cluster from outside: its streams, its groups and their members, how far each group is
// behind, and how many dead letters wait. The commands of kafkaesk print its structs and bus/monitor serves them, so
// that both say the same. It only reads.
package inspect

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Inspector looks at the streams of one topic prefix. Its methods may be called by several goroutines, and ask the
// brokers each time: who is asked often caches what they return. They try again what a retry can mend until ctx ends.
type Inspector struct {
	client *kafka.Client
	prefix string
	now    func() time.Time
}

// New returns an Inspector that asks through client, which stays its caller's.
func New(client *kafka.Client, prefix string) *Inspector {
	return &Inspector{client: client, prefix: prefix, now: time.Now}
}

// stream returns a topic's stream, and whether the topic is one of the prefix and not Kafka's own.
func (i *Inspector) stream(topic string) (string, bool) {
	stream, ok := strings.CutPrefix(topic, i.prefix)
	return stream, ok && stream != "" && !strings.HasPrefix(topic, "__")
}

// Info says which cluster is looked at.
type Info struct {
	TopicPrefix string   `json:"topic_prefix"`
	Brokers     []Broker `json:"brokers"`
}

// Broker is one that is up.
type Broker struct {
	ID      int32  `json:"id"`
	Address string `json:"address"`
}

// Info returns the brokers that are up.
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

// atOnce is how many groups are asked about at the same time.
const atOnce = 8

// each calls do for every name, some at a time, and returns the first error, by order of the names.
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
