package wire

import (
	"io"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
	"github.com/segmentio/kafka-go/protocol/joingroup"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
	"github.com/segmentio/kafka-go/protocol/syncgroup"
)

// consumerProtocol is the protocol type of every group of consumers.
const consumerProtocol = "consumer"

// JoinGroup asks to be a member of the group's next generation. The coordinator answers when the
// others have joined too, which takes up to Rebalance. The answer is a *JoinAnswer.
type JoinGroup struct {
	Member
	Session   time.Duration  // Kafka's session.timeout.ms: heartbeats must not be further apart
	Rebalance time.Duration  // Kafka's max.poll.interval.ms: how long the group waits for a member to join again
	Protocols []JoinProtocol // the preferred one first
}

// JoinProtocol is a way to assign partitions that a member knows.
type JoinProtocol struct {
	Name     string
	Metadata []byte // for the assignor of that name: the member's subscription
}

// JoinAnswer is the answer to a JoinGroup.
type JoinAnswer struct {
	Code       int16 // Kafka's error code. 79 = join again with MemberID
	Generation int32
	Protocol   string         // the one chosen
	Leader     string         // the id of the member that assigns
	MemberID   string         // our own
	Members    []JoinedMember // everyone; for the leader only
}

// JoinedMember is what the leader learns of a member.
type JoinedMember struct {
	MemberID   string
	InstanceID string // "" = not static
	Metadata   []byte // of the chosen protocol
}

// ApiKey implements protocol.Message.
func (*JoinGroup) ApiKey() protocol.ApiKey { return protocol.JoinGroup }

// ApiKey implements protocol.Message.
func (*JoinAnswer) ApiKey() protocol.ApiKey { return protocol.JoinGroup }

// RawExchange implements protocol.RawExchanger.
func (j *JoinGroup) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &joingroup.Request{
		GroupID: j.GroupID, MemberID: j.MemberID, GroupInstanceID: j.InstanceID,
		SessionTimeoutMS: int32(j.Session.Milliseconds()), RebalanceTimeoutMS: int32(j.Rebalance.Milliseconds()),
		ProtocolType: consumerProtocol,
	}
	for _, p := range j.Protocols {
		req.Protocols = append(req.Protocols, joingroup.RequestProtocol{Name: p.Name, Metadata: p.Metadata})
	}
	r, err := j.exchange(rw, groupVersions{least: 7, newest: 7, flexible: 6}, req, groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseJoin(r)
}

func parseJoin(r *groupReader) (*JoinAnswer, error) {
	r.int32() // throttle time: the broker itself waits
	a := &JoinAnswer{Code: r.int16(), Generation: r.int32()}
	_ = r.string() // protocol type
	a.Protocol, a.Leader, a.MemberID = r.string(), r.string(), r.string()
	for range r.count(1 + 1 + 1 + 1) {
		m := JoinedMember{MemberID: r.string(), InstanceID: r.string(), Metadata: r.bytes()}
		r.tags()
		if r.failed {
			break
		}
		a.Members = append(a.Members, m)
	}
	if err := r.err(protocol.JoinGroup); err != nil {
		return nil, err
	}
	return a, nil
}

// SyncGroup asks for the member's own assignment, and brings everyone's if the member is the leader.
// The coordinator answers when the leader's has come. The answer is a *SyncAnswer.
type SyncGroup struct {
	Member
	Generation  int32
	Protocol    string            // as the JoinAnswer named it
	Assignments map[string][]byte // by member id; nil from a follower
}

// SyncAnswer is the answer to a SyncGroup.
type SyncAnswer struct {
	Code       int16  // Kafka's error code
	Assignment []byte // empty = nothing assigned
}

// ApiKey implements protocol.Message.
func (*SyncGroup) ApiKey() protocol.ApiKey { return protocol.SyncGroup }

// ApiKey implements protocol.Message.
func (*SyncAnswer) ApiKey() protocol.ApiKey { return protocol.SyncGroup }

// RawExchange implements protocol.RawExchanger.
func (s *SyncGroup) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &syncgroup.Request{
		GroupID: s.GroupID, GenerationID: s.Generation, MemberID: s.MemberID, GroupInstanceID: s.InstanceID,
		ProtocolType: consumerProtocol, ProtocolName: s.Protocol, // without both it is refused: 23
	}
	for _, id := range slices.Sorted(maps.Keys(s.Assignments)) {
		req.Assignments = append(req.Assignments, syncgroup.RequestAssignment{MemberID: id, Assignment: s.Assignments[id]})
	}
	r, err := s.exchange(rw, groupVersions{least: 5, newest: 5, flexible: 4}, req, groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseSync(r)
}

func parseSync(r *groupReader) (*SyncAnswer, error) {
	r.int32() // throttle time
	a := &SyncAnswer{Code: r.int16()}
	_, _ = r.string(), r.string() // protocol type and name
	a.Assignment = r.bytes()
	if err := r.err(protocol.SyncGroup); err != nil {
		return nil, err
	}
	return a, nil
}

// Heartbeat tells the coordinator that the member is alive. kafka-go would send its own to any broker, and
// take the code in the answer for a throttle time. The answer is a *HeartbeatAnswer.
type Heartbeat struct {
	Member
	Generation int32
}

// HeartbeatAnswer is the answer to a Heartbeat.
type HeartbeatAnswer struct {
	Code int16 // Kafka's error code. 27 = the group rebalances: join again
}

// ApiKey implements protocol.Message.
func (*Heartbeat) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// ApiKey implements protocol.Message.
func (*HeartbeatAnswer) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// RawExchange implements protocol.RawExchanger.
func (h *Heartbeat) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &heartbeat.Request{GroupID: h.GroupID, GenerationID: h.Generation, MemberID: h.MemberID,
		GroupInstanceID: h.InstanceID}
	r, err := h.exchange(rw, groupVersions{least: 3, newest: 4, flexible: 4}, req, memberAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseHeartbeat(r)
}

func parseHeartbeat(r *groupReader) (*HeartbeatAnswer, error) {
	r.int32() // throttle time
	a := &HeartbeatAnswer{Code: r.int16()}
	if err := r.err(protocol.Heartbeat); err != nil {
		return nil, err
	}
	return a, nil
}

// LeaveGroup takes the member out of the group, so that the others need not wait for its session to
// end. The answer is a *LeaveAnswer.
type LeaveGroup struct {
	Member
}

// LeaveAnswer is the answer to a LeaveGroup.
type LeaveAnswer struct {
	Code int16 // Kafka's error code, for the request or else for the member
}

// ApiKey implements protocol.Message.
func (*LeaveGroup) ApiKey() protocol.ApiKey { return protocol.LeaveGroup }

// ApiKey implements protocol.Message.
func (*LeaveAnswer) ApiKey() protocol.ApiKey { return protocol.LeaveGroup }

// RawExchange implements protocol.RawExchanger.
func (l *LeaveGroup) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &leavegroup.Request{GroupID: l.GroupID,
		Members: []leavegroup.RequestMember{{MemberID: l.MemberID, GroupInstanceID: l.InstanceID}}}
	r, err := l.exchange(rw, groupVersions{least: 3, newest: 4, flexible: 4}, req, memberAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseLeave(r)
}

func parseLeave(r *groupReader) (*LeaveAnswer, error) {
	r.int32() // throttle time
	a := &LeaveAnswer{Code: r.int16()}
	for range r.count(1 + 1 + 2) {
		_, _ = r.string(), r.string() // member and instance
		code := r.int16()
		r.tags()
		if a.Code == 0 {
			a.Code = code
		}
	}
	if err := r.err(protocol.LeaveGroup); err != nil {
		return nil, err
	}
	return a, nil
}

var (
	_ groupRequest = (*JoinGroup)(nil)
	_ groupRequest = (*SyncGroup)(nil)
	_ groupRequest = (*Heartbeat)(nil)
	_ groupRequest = (*LeaveGroup)(nil)
)
