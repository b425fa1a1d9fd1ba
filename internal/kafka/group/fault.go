package group

import (
	"errors"
	"fmt"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// fault is what an error of a group request means for the member.
type fault int

const (
	// none: no error.
	none fault = iota
	// passing: the coordinator moves, loads, or does not answer. The membership is not concerned: the same again after a
	// pause.
	transient
	// rebalancing: the group waits for everyone to join again.
	rebalancing
	// stale: the group has gone on to another generation without this member, who is still known to it.
	stale
	// unknown: the group does not know the member, or not any longer.
	unknown
	// fenced: another has taken over the static id.
	fenced
	// incompatibleProtocol: the group's members share no assignor with this one, or are no consumers.
	incompatibleProtocol
	// full: the group takes no more members.
	groupFull
	// denied: authentication or authorisation.
	denied
	// fatal: the request is wrong, or nobody understands the answer.
	fatal
)

// Codes that kafka.Classify leaves to a group's member.
const (
	codeUnknownTopic         kafka.CodeError = 3
	codeIllegalGeneration    kafka.CodeError = 22
	codeInconsistentProtocol kafka.CodeError = 23
	codeInvalidGroupID       kafka.CodeError = 24
	codeUnknownMember        kafka.CodeError = 25
	codeInvalidSession       kafka.CodeError = 26
	codeRebalance            kafka.CodeError = 27
	codeGroupIDNotFound      kafka.CodeError = 69
	codeMemberIDRequired     kafka.CodeError = 79
	codeGroupFull            kafka.CodeError = 81
	codeFencedInstance       kafka.CodeError = 82
)

// faultOf is the table of what can be answered to a member.
func faultOf(err error) fault {
	if err == nil {
		return none
	}
	if code, ok := errors.AsType[kafka.CodeError](err); ok {
		switch code {
		case codeIllegalGeneration:
			return stale
		case codeInconsistentProtocol:
			return incompatibleProtocol
		case codeUnknownMember,
			codeGroupIDNotFound: // the group has gone, and its members with it
			return unknown
		case codeRebalance:
			return rebalancing
		case codeMemberIDRequired: // with the id, it is no error; without, the next join may bring one
			return transient
		case codeGroupFull:
			return groupFull
		case codeFencedInstance:
			return fenced
		}
	}
	switch class := kafka.Classify(err); {
	case class == kafka.Denied:
		return denied
	case class.Retriable():
		return transient
	default:
		return fatal
	}
}

// endsGeneration reports whether the coordinator no longer takes anything of the generation.
func (f fault) endsGeneration() bool {
	return f == rebalancing || f == stale || f == unknown || f == fenced
}

// advise says what to do about an error that ends a member.
func advise(err error, s kafka.Settings) error {
	code, _ := errors.AsType[kafka.CodeError](err)
	switch {
	case code == codeFencedInstance:
		return fmt.Errorf("%w: give each program its own group_instance_id: %w", ErrFenced, err)
	case code == codeInconsistentProtocol:
		return fmt.Errorf("the members that are in the group offer none of our assignors (%s), which rebalance eagerly, or "+
			"are no consumers: let them offer one too (in Java, partition.assignment.strategy with RangeAssignor or "+
			"RoundRobinAssignor; CooperativeStickyAssignor alone does not do), stop them, or take another group name: %w",
			offered(), err)
	case code == codeInvalidSession:
		return fmt.Errorf("session_timeout_ms is %s, and the brokers allow what lies between their "+
			"group.min.session.timeout.ms and group.max.session.timeout.ms: %w", s.SessionTimeout, err)
	case code == codeInvalidGroupID:
		return fmt.Errorf("the brokers refuse the group's name: %w", err)
	}
	return err
}
