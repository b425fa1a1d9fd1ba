package group

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group/assign"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const (
	// joinReserve is what a join may take beyond the rebalance timeout, for which the coordinator may hold it.
	joinReserve = 5 * time.Second
	// leaveTimeout bounds the request that leaves the group, and the wait for the name to leave with.
	leaveTimeout = 2 * time.Second
)

// identity is a member in one generation of its group.
type identity struct {
	id         string
	generation int32
}

// coordinator sends the requests of a group. kafka-go looks its broker up for each of them. Every request is sent once,
// but for offsets.
type coordinator struct {
	client   *kafka.Client
	settings kafka.Settings
	group    string
	instance string
}

func (c *coordinator) member(id string) wire.Member {
	return wire.Member{GroupID: c.group, MemberID: id, InstanceID: c.instance, ClientID: c.settings.ClientID}
}

// attempt bounds a request that the coordinator answers at once. A hung one must not cost the session.
func (c *coordinator) attempt() time.Duration {
	return min(c.settings.RequestTimeout, c.settings.SessionTimeout)
}

// join asks to be let in. The answer's code may be 79, and is otherwise 0.
func (c *coordinator) join(ctx context.Context, id string, metadata []byte) (*wire.JoinAnswer, error) {
	request := &wire.JoinGroup{Member: c.member(id), Session: c.settings.SessionTimeout,
		Rebalance: c.settings.RebalanceTimeout}
	for _, a := range assign.Assignors() {
		request.Protocols = append(request.Protocols, wire.JoinProtocol{Name: a.Name(), Metadata: metadata})
	}
	timeout := c.settings.RebalanceTimeout + joinReserve
	if id == "" && c.instance == "" {
		timeout = c.attempt() // it is answered at once with an id
	}
	response, err := c.client.RoundTrip(ctx, request, timeout)
	if err != nil {
		return nil, fmt.Errorf("joining: %w", err)
	}
	answer := response.(*wire.JoinAnswer)
	code := kafka.CodeError(answer.Code)
	if err := kafka.CodeErr(answer.Code); err != nil && (code != codeMemberIDRequired || answer.MemberID == "") {
		return nil, fmt.Errorf("joining: %w", err)
	}
	return answer, nil
}

// offered names our assignors.
func offered() string {
	var names []string
	for _, a := range assign.Assignors() {
		names = append(names, a.Name())
	}
	return strings.Join(names, ", ")
}

// sync asks for the member's partitions; the leader brings everyone's. Seen is for which view of the topics they were
// assigned, 0 where the leader does not say.
func (c *coordinator) sync(ctx context.Context, member identity, protocol string,
	assignments map[string][]byte) (parts []kafka.TopicPartition, seen uint64, err error) {
	response, err := c.client.RoundTrip(ctx, &wire.SyncGroup{
		Member: c.member(member.id), Generation: member.generation, Protocol: protocol, Assignments: assignments,
	}, 0) // the leader has nothing to wait for but its own view of the cluster
	if err != nil {
		return nil, 0, fmt.Errorf("syncing: %w", err)
	}
	answer := response.(*wire.SyncAnswer)
	if err := kafka.CodeErr(answer.Code); err != nil {
		return nil, 0, fmt.Errorf("syncing: %w", err)
	}
	given, seen, err := assign.ParseAssignment(answer.Assignment)
	if err != nil {
		return nil, 0, fmt.Errorf("syncing: what the group's leader assigned: %w", err)
	}
	parts = make([]kafka.TopicPartition, len(given))
	for i, p := range given {
		parts[i] = kafka.TopicPartition(p)
	}
	return parts, seen, nil
}

// offsets returns what the group has committed of parts, -1 where it has nothing. It retries transient errors,
// until ctx ends.
func (c *coordinator) offsets(ctx context.Context,
	parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	backoff := pauses(c.settings)
	for n := 0; ; n++ {
		found, err := c.offsetsOnce(ctx, parts)
		if err == nil {
			return found, nil
		}
		if ctx.Err() != nil || faultOf(err) != transient || kafka.Sleep(ctx, backoff.Delay(n)) != nil {
			return nil, fmt.Errorf("asking for committed offsets: %w", err)
		}
	}
}

func (c *coordinator) offsetsOnce(ctx context.Context,
	parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	found := make(map[kafka.TopicPartition]int64, len(parts))
	if len(parts) == 0 {
		return found, nil
	}
	request := &wire.FetchOffsets{Member: c.member(""), Partitions: make(map[string][]int32)}
	for _, p := range parts {
		request.Partitions[p.Topic] = append(request.Partitions[p.Topic], p.Partition)
		found[p] = -1
	}
	response, err := c.client.RoundTrip(ctx, request, c.attempt())
	if err != nil {
		return nil, err
	}
	answer := response.(*wire.OffsetsAnswer)
	if err := kafka.CodeErr(answer.Code); err != nil {
		return nil, err
	}
	answered := 0
	for _, p := range answer.Partitions {
		part := kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition}
		if _, asked := found[part]; !asked {
			continue
		}
		answered++
		switch err := kafka.CodeErr(p.Code); {
		case err == nil:
			found[part] = max(p.Offset, -1)
		case kafka.CodeError(p.Code) != codeUnknownTopic: // a topic that has just been deleted has no commits
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	if answered < len(parts) {
		return nil, fmt.Errorf("the broker left out %d of %d partitions", len(parts)-answered, len(parts))
	}
	return found, nil
}

// heartbeat says that the member is alive.
func (c *coordinator) heartbeat(ctx context.Context, member identity) error {
	response, err := c.client.RoundTrip(ctx, &wire.Heartbeat{Member: c.member(member.id), Generation: member.generation},
		c.attempt()/3)
	if err == nil {
		err = kafka.CodeErr(response.(*wire.HeartbeatAnswer).Code)
	}
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// commit writes offsets down. It returns what became of each partition that was answered; nil is written.
func (c *coordinator) commit(ctx context.Context, member identity,
	offsets map[kafka.TopicPartition]int64) (map[kafka.TopicPartition]error, error) {
	request := &wire.CommitOffsets{Member: c.member(member.id), Generation: member.generation}
	for p, offset := range offsets {
		request.Offsets = append(request.Offsets, wire.PartitionOffset{Topic: p.Topic, Partition: p.Partition,
			Offset: offset})
	}
	response, err := c.client.RoundTrip(ctx, request, c.attempt())
	if err != nil {
		return nil, err
	}
	results := make(map[kafka.TopicPartition]error, len(offsets))
	for _, p := range response.(*wire.CommitAnswer).Partitions {
		results[kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = kafka.CodeErr(p.Code)
	}
	return results, nil
}

// leave takes the member out of the group.
func (c *coordinator) leave(ctx context.Context, id string) error {
	response, err := c.client.RoundTrip(ctx, &wire.LeaveGroup{Member: c.member(id)}, leaveTimeout)
	if err == nil {
		err = kafka.CodeErr(response.(*wire.LeaveAnswer).Code)
	}
	if faultOf(err) == unknown {
		return nil // it is out
	}
	return err
}

// pauses are those between attempts that must not cost the session.
func pauses(s kafka.Settings) kafka.Backoff {
	b := s.Backoff()
	b.Max = min(10*time.Second, max(s.SessionTimeout/3, s.RetryBackoff))
	return b
}
