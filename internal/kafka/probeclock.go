package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// describeQuorum is Kafka's number for DescribeQuorum, which kafka-go does not know, and the version of it that has
// times.
const (
	describeQuorum        protocol.ApiKey = 55
	describeQuorumVersion int16           = 1
)

// ErrNoClock says that the brokers have no way to tell their time: ZooKeeper, or Kafka before 3.3.
var ErrNoClock = errors.New("the brokers do not tell their time")

// Clock returns how far the clock of the cluster's controller is ahead of ours, by the time that DescribeQuorum gives
// for the controller itself, and the most that it may be wrong. It needs Describe on the cluster.
func (c *ProbeConn) Clock(ctx context.Context, now func() time.Time) (ahead, within time.Duration, err error) {
	if offer, ok := c.offers[describeQuorum]; !ok || offer.MaxVersion < describeQuorumVersion ||
		offer.MinVersion > describeQuorumVersion {
		return 0, 0, ErrNoClock
	}
	c.correlation++
	sent := now()
	frame, err := c.exchange(ctx, quorumRequest(c.correlation, c.probe.settings.ClientID))
	if err != nil {
		return 0, 0, fmt.Errorf("DescribeQuorum: %w", err)
	}
	received := now()
	theirs, err := quorumTime(frame)
	if err != nil {
		return 0, 0, fmt.Errorf("DescribeQuorum: %w", err)
	}
	within = received.Sub(sent) / 2
	return theirs.Sub(sent.Add(within)), within, nil
}

// quorumRequest asks for the only partition of the controllers' log.
func quorumRequest(correlation int32, clientID string) []byte {
	b := make([]byte, 4, 96)
	b = binary.BigEndian.AppendUint16(b, uint16(describeQuorum))
	b = binary.BigEndian.AppendUint16(b, uint16(describeQuorumVersion))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, uint16(len(clientID)))
	b = append(b, clientID...)
	b = append(b, 0) // no tagged fields
	const topic = "__cluster_metadata"
	b = append(b, 2, byte(len(topic)+1)) // lengths are one more in this form, 0 is null
	b = append(b, topic...)
	b = append(b, 2, 0, 0, 0, 0, 0, 0, 0) // one partition: 0, and no tagged fields three times
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// quorumTime reads the time that the leader of the quorum gives for itself.
func quorumTime(frame []byte) (time.Time, error) {
	r := &compactReader{b: frame}
	r.skip(8) // size and correlation id
	r.tags()
	if err := CodeErr(int16(r.uint16())); err != nil {
		return time.Time{}, err
	}
	for range r.length() {
		r.text()
		for range r.length() {
			r.skip(4)
			code, leader := int16(r.uint16()), int32(r.uint32())
			r.skip(4 + 8)
			if err := CodeErr(code); err != nil {
				return time.Time{}, err
			}
			for range r.length() {
				id := int32(r.uint32())
				r.skip(8 + 8)
				ms := int64(r.uint64())
				r.tags()
				if r.failed {
					return time.Time{}, errShortAnswer
				}
				if id == leader && ms > 0 {
					return time.UnixMilli(ms), nil
				}
			}
			return time.Time{}, ErrNoClock
		}
	}
	if r.failed {
		return time.Time{}, errShortAnswer
	}
	return time.Time{}, ErrNoClock
}

var errShortAnswer = errors.New("the answer is cut short")

// compactReader reads Kafka's flexible encoding. Behind the end everything is 0, and failed is set.
type compactReader struct {
	b      []byte
	failed bool
}

func (r *compactReader) next(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.failed, r.b = true, nil
		return make([]byte, 8)
	}
	bytes := r.b[:n]
	r.b = r.b[n:]
	return bytes
}

func (r *compactReader) skip(n int)     { r.next(n) }
func (r *compactReader) uint16() uint16 { return binary.BigEndian.Uint16(r.next(2)) }
func (r *compactReader) uint32() uint32 { return binary.BigEndian.Uint32(r.next(4)) }
func (r *compactReader) uint64() uint64 { return binary.BigEndian.Uint64(r.next(8)) }

func (r *compactReader) uvarint() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<20 {
		r.failed, r.b = true, nil
		return 0
	}
	r.skip(size)
	return int(n)
}

// length reads that of an array.
func (r *compactReader) length() int { return max(r.uvarint()-1, 0) }

func (r *compactReader) text() { r.skip(max(r.uvarint()-1, 0)) }

func (r *compactReader) tags() {
	for range r.uvarint() {
		r.uvarint()
		r.skip(r.uvarint())
	}
}
