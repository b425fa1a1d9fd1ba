package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Sentinels come wrapped: what was being done stands before them, and the cause behind.
var (
	// ErrAuth: the broker does not know us, does not let us, or we do not trust it. A retry does not help soon; somebody
	// has to change a password, a certificate or an ACL. Wait at least 5s before trying again: accounts get locked.
	ErrAuth = errors.New("not authenticated or not authorised")
	// ErrTooLarge: a record, or the batch it is in, is larger than the broker or the topic takes.
	ErrTooLarge = errors.New("record too large")
	// ErrTooOld: the broker lacks a version of a request that this package sends.
	ErrTooOld = errors.New("broker too old")
	// ErrNoTopic: a topic is not there, and [TopicSpec.Existing] says that it is not to be created.
	ErrNoTopic = errors.New("the topic does not exist, and is not to be created")
	// ErrClosed: the Client has been closed.
	ErrClosed = errors.New("client is closed")
)

// CodeError is a Kafka error code, as errors.As finds it in an error of this package. errors.Is(err, CodeError(36))
// works too.
type CodeError = kafkago.Error

// CodeErr returns the error of a code in a response: nil for 0, and one that is also [ErrAuth] or [ErrTooLarge] where
// the code means that.
func CodeErr(code int16) error { return codeErr(code, "") }

// codeErr is CodeErr with the text that some responses carry.
func codeErr(code int16, message string) error {
	if code == 0 {
		return nil
	}
	var err error = CodeError(code)
	if message != "" {
		err = fmt.Errorf("%w (%s)", err, message)
	}
	switch classOfCode(CodeError(code)) {
	case Denied:
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case BadRecord:
		if code == 10 || code == 18 {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
	}
	return err
}

// Class says what can be done about an error.
type Class int

const (
	// Transient: wait and try again; the same request may succeed.
	Transient Class = iota
	// TopicMissing: the topic or partition is not there, or not yet seen. Create it if that is wanted, else wait for it.
	TopicMissing
	// Moved: another broker leads now, or none for a moment. Wait, look at the cluster again, ask the broker it names.
	Moved
	// BadRecord: a record of the batch is refused for what it is. The others may pass without it.
	BadRecord
	// Denied: authentication or authorisation. Tell somebody; try again slowly if at all.
	Denied
	// Sequence: the broker does not accept this producer id and sequence. Take a new id and start at 0.
	Sequence
	// Permanent: the request is wrong, or its caller gave up. Trying again is useless.
	Permanent
)

// String returns the name of the class, for logs.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case TopicMissing:
		return "topic missing"
	case Moved:
		return "moved"
	case BadRecord:
		return "bad record"
	case Denied:
		return "denied"
	case Sequence:
		return "sequence"
	default:
		return "permanent"
	}
}

// Retriable reports whether an outer loop may try the same thing again, after a pause.
func (c Class) Retriable() bool { return c == Transient || c == TopicMissing || c == Moved }

// Classify tells what can be done about err. Look at the caller's own context first: the deadline of one attempt looks
// like any other and is Transient. What nobody has classified is Transient unless it is a code: a network fails in more
// ways than can be listed, and every retry loop here ends with its caller's context.
func Classify(err error) Class {
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrTooOld), errors.Is(err, ErrNoTopic),
		errors.Is(err, context.Canceled):
		return Permanent
	case errors.Is(err, ErrAuth):
		return Denied
	case errors.Is(err, ErrTooLarge):
		return BadRecord
	// The four below come from the routing of a request, on the client: the cached metadata does not have the topic, the
	// partition or the leader, or there is none. A change of cluster or a new topic looks like this for up to one
	// MetadataTTL.
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition):
		return TopicMissing
	case errors.Is(err, protocol.ErrNoLeader), errors.Is(err, wire.ErrNoBrokers):
		return Moved
	}
	if code, ok := errors.AsType[CodeError](err); ok {
		return classOfCode(code)
	}
	// The partitions of one request have got different leaders since it was built. kafka-go has no value for this error.
	if err != nil && strings.Contains(err.Error(), "mismatching leaders") {
		return Moved
	}
	return Transient
}

// classOfCode is the table of Kafka's error codes: https://kafka.apache.org/protocol#protocol_error_codes
func classOfCode(code CodeError) Class {
	switch code {
	case kafkago.Unknown, // -1: an exception inside the broker, often one that passes
		kafkago.InvalidMessage,               // 2: damaged on its way; the same bytes again may arrive whole
		kafkago.RequestTimedOut,              // 7: the replicas were too slow
		kafkago.ReplicaNotAvailable,          // 9: a replica is catching up
		kafkago.NetworkException,             // 13: the broker lost a connection
		kafkago.GroupLoadInProgress,          // 14: the coordinator reads its log; also a broker that has just started
		kafkago.GroupCoordinatorNotAvailable, // 15: no coordinator yet, as after the broker's first start
		kafkago.NotCoordinatorForGroup,       // 16: the coordinator moved; it is looked up for every request
		kafkago.NotEnoughReplicas,            // 19: fewer in sync than min.insync.replicas; nothing was written
		kafkago.NotEnoughReplicasAfterAppend, // 20: the same, found after writing: the sequence makes a repeat harmless
		kafkago.ConcurrentTransactions,       // 51: the last transaction is being completed
		kafkago.ReassignmentInProgress,       // 60: partitions are being moved
		kafkago.FetchSessionIDNotFound,       // 70: the broker has dropped the session
		kafkago.InvalidFetchSessionEpoch,     // 71: the same
		kafkago.OffsetNotAvailable,           // 78: a new leader does not know its high watermark yet
		kafkago.UnstableOffsetCommit,         // 88: a transaction's offsets are being decided
		kafkago.ThrottlingQuotaExceeded:      // 89: quota; the pause is what it asks for
		return Transient

	case kafkago.UnknownTopicOrPartition, // 3: also just after creation, on a broker that has not heard of it
		kafkago.UnknownTopicID,      // 100: deleted, or created anew
		kafkago.InconsistentTopicID: // 103: the same
		return TopicMissing

	case kafkago.LeaderNotAvailable, // 5: an election runs
		kafkago.NotLeaderForPartition,       // 6: asked the old leader
		kafkago.BrokerNotAvailable,          // 8: kafka-go's own: the leader is not in its list of brokers
		kafkago.StaleControllerEpoch,        // 11: the controller moved
		kafkago.NotController,               // 41: the same
		kafkago.KafkaStorageError,           // 56: the disk of the partition failed; another replica takes over
		kafkago.ListenerNotFound,            // 72: the leader has no such listener yet
		kafkago.FencedLeaderEpoch,           // 74: our idea of the leader is older
		kafkago.UnknownLeaderEpoch,          // 75: our idea of the leader is newer
		kafkago.PreferredLeaderNotAvailable, // 80: an election cannot choose that one yet
		kafkago.EligibleLeadersNotAvailable: // 83: no replica can lead for now
		return Moved

	case kafkago.MessageSizeTooLarge, // 10: larger than max.message.bytes of the topic
		kafkago.RecordListTooLarge,          // 18: the batch is larger than a segment
		kafkago.InvalidTimestamp,            // 32: too far from the broker's clock (message.timestamp.*.max.ms)
		kafkago.UnsupportedForMessageFormat, // 43: the topic's old format cannot hold it
		kafkago.PolicyViolation,             // 44: a policy of the cluster refuses it
		kafkago.InvalidRecord:               // 87: a record without a key in a compacted topic, say
		return BadRecord

	case kafkago.TopicAuthorizationFailed, // 29: an ACL on the topic is missing
		kafkago.GroupAuthorizationFailed, // 30: an ACL on the group is missing
		// 31: an ACL on the cluster (creating topics, idempotent writes) is missing
		kafkago.ClusterAuthorizationFailed,
		kafkago.UnsupportedSASLMechanism,           // 33: the listener offers other mechanisms
		kafkago.IllegalSASLState,                   // 34: SASL on a listener without it
		kafkago.TransactionalIDAuthorizationFailed, // 53: an ACL on the transactional id is missing
		kafkago.SecurityDisabled,                   // 54: the broker has no authoriser
		kafkago.BrokerAuthorizationFailed,          // 55: the broker's own ACLs
		kafkago.SASLAuthenticationFailed,           // 58: wrong user or password
		kafkago.DelegationTokenAuthorizationFailed, // 65: a token without the right
		kafkago.DelegationTokenExpired:             // 66: a token of yesterday
		return Denied

	case kafkago.OutOfOrderSequenceNumber, // 45: a batch before this one is missing on the broker
		kafkago.DuplicateSequenceNumber,  // 46: the broker has it, but no longer remembers where
		kafkago.InvalidProducerEpoch,     // 47: the id has been taken over
		kafkago.InvalidProducerIDMapping, // 49: the id is not ours
		kafkago.UnknownProducerId,        // 59: the broker has forgotten the producer (its records have all expired)
		kafkago.ProducerFenced:           // 90: the id has been taken over
		return Sequence

	default:
		// What the request asks for cannot be (1 out of range, 17 invalid topic, 21 acks, 35 version, 36 exists, 37..40, 42,
		// ...), what only a group member's state machine can answer (22 to 28, 79, 81, 82), and codes younger than this
		// table: retrying what nobody understands hides it.
		return Permanent
	}
}

// isLost reports whether err says that an established connection has gone. Those pooled beside it went with it.
func isLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// isTLS reports whether err is a refusal by TLS: of the broker's certificate by us, of ours by the broker, or a
// listener that does not speak it.
func isTLS(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return true // an alert: the only sign of it that crypto/tls exports
	}
	return as[*tls.CertificateVerificationError](err) || as[tls.RecordHeaderError](err) ||
		as[x509.UnknownAuthorityError](err) || as[x509.HostnameError](err) || as[x509.CertificateInvalidError](err)
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
