package consume

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Blocked are the records of a subscription that can be written neither to the dead letters nor to a retry stream,
// and hold up others.
type Blocked struct {
	mu      sync.Mutex
	records map[position]blockage
}

// position is where a record lies.
type position struct {
	kafka.TopicPartition
	offset int64
}

func positionOf(r *wire.Record) position {
	return position{kafka.TopicPartition{Topic: r.Topic, Partition: int32(r.Partition)}, r.Offset}
}

// blockage is why a record is blocked. It also ends when the record's partition is given up.
type blockage struct {
	partition AssignedPartition
	why       error
}

// Set records why a record is blocked.
func (b *Blocked) Set(partition AssignedPartition, r *wire.Record, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records == nil {
		b.records = make(map[position]blockage)
	}
	b.records[positionOf(r)] = blockage{partition, why}
}

// Remove says that a record is no longer blocked.
func (b *Blocked) Remove(r *wire.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.records, positionOf(r))
}

// each calls f for all blocked records, in the order of topic, partition and offset.
func (b *Blocked) each(f func(tp kafka.TopicPartition, why error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.records, func(_ position, v blockage) bool {
		select {
		case <-v.partition.Revoked():
			return true
		default:
			return false
		}
	})
	for _, at := range slices.SortedFunc(maps.Keys(b.records), func(p, q position) int {
		return cmp.Or(p.TopicPartition.Compare(q.TopicPartition), cmp.Compare(p.offset, q.offset))
	}) {
		f(at.TopicPartition, b.records[at].why)
	}
}

// ByPartition returns why the first record of each partition is blocked.
func (b *Blocked) ByPartition() map[kafka.TopicPartition]string {
	first := make(map[kafka.TopicPartition]string)
	b.each(func(tp kafka.TopicPartition, why error) {
		if first[tp] == "" {
			first[tp] = why.Error()
		}
	})
	return first
}

// Err joins the reasons of the first few; it is nil when no record is blocked.
func (b *Blocked) Err() error {
	const most = 10
	var errs []error
	n := 0
	b.each(func(_ kafka.TopicPartition, why error) {
		if n++; n <= most {
			errs = append(errs, why)
		}
	})
	if n > most {
		errs = append(errs, fmt.Errorf("and %d more", n-most))
	}
	return errors.Join(errs...)
}
