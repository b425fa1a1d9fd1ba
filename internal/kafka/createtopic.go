package kafka

import (
	"fmt"
	"io"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// createTopic is a CreateTopics request for one topic, sent to the controller. It is its own answer, as the Transport
// would wait until it has seen the topics of kafka-go's. A topic that exists already is as good as created.
type createTopic struct {
	message  createtopics.Request
	clientID string
	version  int16
	err      error // valid after RoundTrip returned without an error
}

func (*createTopic) ApiKey() protocol.ApiKey { return protocol.CreateTopics }

// Broker implements protocol.BrokerMessage.
func (*createTopic) Broker(c protocol.Cluster) (protocol.Broker, error) { return controllerOf(c) }

func controllerOf(c protocol.Cluster) (protocol.Broker, error) {
	controller, ok := c.Brokers[c.Controller]
	switch {
	case len(c.Brokers) == 0:
		return protocol.Broker{ID: -1}, wire.ErrNoBrokers
	case !ok:
		return protocol.Broker{ID: -1}, fmt.Errorf("%w: no controller is known", kafkago.NotController)
	}
	return controller, nil
}

// Required implements protocol.RawExchanger.
func (r *createTopic) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.CreateTopics]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *createTopic) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	answer, err := protocol.RoundTrip(rw, r.version, 1, r.clientID, &r.message)
	if err != nil {
		return nil, err
	}
	topics := answer.(*createtopics.Response).Topics
	if len(topics) != 1 {
		return nil, fmt.Errorf("the response has %d topics instead of one", len(topics))
	}
	if CodeError(topics[0].ErrorCode) != kafkago.TopicAlreadyExists {
		r.err = codeErr(topics[0].ErrorCode, topics[0].ErrorMessage)
	}
	return r, nil
}

var (
	_ protocol.BrokerMessage = (*createTopic)(nil)
	_ protocol.RawExchanger  = (*createTopic)(nil)
)

// flights lets one caller at a time do what several want done for the same name. The zero value is ready for use.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

type flight struct {
	done chan struct{}
	// Set before done is closed.
	err       error
	abandoned bool // its caller's context ended: the result is no one else's
}

// join returns the flight of name. The caller for whom it is new (mine) does the work and calls leave; the others wait
// for done.
func (f *flights) join(name string) (mine bool, _ *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running, ok := f.running[name]; ok {
		return false, running
	}
	if f.running == nil {
		f.running = make(map[string]*flight)
	}
	started := &flight{done: make(chan struct{})}
	f.running[name] = started
	return true, started
}

// leave ends a flight with its result.
func (f *flights) leave(name string, ended *flight, err error, abandoned bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, name)
	ended.err, ended.abandoned = err, abandoned && err != nil
	close(ended.done)
}
