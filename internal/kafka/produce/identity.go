package produce

import (
	"errors"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// identity is the producer id that partitions start with. A partition keeps the one it started with: where one has to
// start anew, the sequences of the others stay good. Guarded by Producer.mu.
type identity struct {
	wire.Producer // ID -1: none
	asking        bool
	fault         fault
}

// askIdentity asks the cluster for a producer id, once; the sender asks again when it is due. Nothing is ever sent
// without an id instead: a broker that has just started answers with an error and the id -1, and with that id every
// lost answer would be a duplicate.
func (p *Producer) askIdentity() {
	var got wire.Producer
	answer, err := p.client.RoundTrip(p.ctx, wire.NewInitProducerID(), p.attempt)
	if err == nil {
		var code int16
		if got, code, err = wire.InitProducerIDResponse(answer); err == nil {
			err = kafka.CodeErr(code)
		}
	}
	if err != nil {
		err = fmt.Errorf("produce: ask for a producer id: %w", err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	p.identity.asking = false
	if p.ctx.Err() != nil {
		return
	}
	if err == nil {
		p.identity.Producer = got
		p.identity.fault.clear()
		return
	}
	switch kafka.Classify(err) {
	case kafka.Denied, kafka.Permanent:
		if errors.Is(err, kafka.CodeError(clusterDenied)) {
			err = fmt.Errorf("%w (before Kafka 2.8 this needs IdempotentWrite on the cluster, or enable_idempotence set to "+
				"false)", err)
		}
		p.activate()
		for _, q := range p.active {
			if q.identity.ID < 0 { // those that have an id go on with it
				p.failPartition(q, err)
			}
		}
		p.identity.fault.clear()
	default:
		p.identity.fault.failed(err, time.Now(), p.backoff, 0)
	}
}

// resetProducerID makes the partition start anew with a new producer id, and sequence 0: the broker does not go on
// with the old one, or it is not known which sequence it has.
func (p *Producer) resetProducerID(q *partition) {
	if q.identity.ID < 0 {
		return
	}
	if q.identity.ID == p.identity.ID && q.identity.Epoch == p.identity.Epoch {
		p.identity.Producer = wire.NoProducer()
	}
	q.identity = wire.NoProducer()
	p.stats.Resets++
}

// advance counts the records of an acknowledged batch. Sequences wrap from 2^31-1 to 0.
func (q *partition) advance(records int) {
	if q.identity.ID >= 0 {
		q.identity.Sequence = int32((int64(q.identity.Sequence) + int64(records)) & (1<<31 - 1))
	}
}
