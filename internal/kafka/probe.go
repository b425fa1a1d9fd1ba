package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// Probe opens connections to single addresses one step at a time, so that each step can fail and be timed alone. A
// [Client] connects to whichever broker answers, and tries again.
type Probe struct {
	settings  Settings
	config    *tls.Config
	mechanism sasl.Mechanism
}

// NewProbe makes a Probe that connects as the settings say. It reads the certificate files that they name.
func NewProbe(s Settings) (*Probe, error) {
	config, err := tlsConfig(s)
	if err != nil {
		return nil, err
	}
	mechanism, err := saslMechanismOf(s)
	if err != nil {
		return nil, err
	}
	return &Probe{settings: s, config: config, mechanism: mechanism}, nil
}

// UsesTLS and UsesSASL tell which steps a connection has.
func (p *Probe) UsesTLS() bool { return p.config != nil }

// UsesSASL reports whether a connection logs in.
func (p *Probe) UsesSASL() bool { return p.mechanism != nil }

// ProbeConn is one connection. Its steps have to be called in the order Secure, Versions, Login, those that the
// settings ask for. It is for one goroutine.
type ProbeConn struct {
	net.Conn
	probe       *Probe
	correlation int32
	offers      map[protocol.ApiKey]apiversions.ApiKeyResponse
}

// Dial opens a TCP connection.
func (p *Probe) Dial(ctx context.Context, address string) (*ProbeConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &ProbeConn{Conn: conn, probe: p}, nil
}

// Secure makes the connection one by TLS, to a host of this name. A *tls.CertificateVerificationError says that the
// broker's certificate is not trusted.
func (c *ProbeConn) Secure(ctx context.Context, host string) (tls.ConnectionState, error) {
	config := c.probe.config.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	return c.handshake(ctx, config)
}

func (c *ProbeConn) handshake(ctx context.Context, config *tls.Config) (tls.ConnectionState, error) {
	secure := tls.Client(c.Conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	c.Conn = secure
	return secure.ConnectionState(), nil
}

// SpeaksTLS reports whether an address answers a TLS handshake, whoever has signed its certificate.
func (p *Probe) SpeaksTLS(ctx context.Context, address string) bool {
	c, err := p.Dial(ctx, address)
	if err != nil {
		return false
	}
	defer c.Close()
	// Nothing is sent on this connection, and nothing that it says is believed.
	_, err = c.handshake(ctx, &tls.Config{InsecureSkipVerify: true})
	return err == nil || !errors.As(err, new(tls.RecordHeaderError)) && errors.As(err, new(tls.AlertError))
}

// Versions asks the broker for the requests that it knows, and checks that this package can talk to it: else the error
// is [ErrTooOld], as a rule.
func (c *ProbeConn) Versions(ctx context.Context) error {
	answer, err := c.ask(ctx, 0, new(apiversions.Request))
	if err != nil {
		return err
	}
	r := answer.(*apiversions.Response)
	if err := CodeErr(r.ErrorCode); err != nil {
		return err
	}
	c.offers = make(map[protocol.ApiKey]apiversions.ApiKeyResponse, len(r.ApiKeys))
	for _, o := range r.ApiKeys {
		c.offers[protocol.ApiKey(o.ApiKey)] = o
	}
	return compareVersions(r.ApiKeys)
}

// Login logs in by SASL. A refused login is [ErrAuth].
func (c *ProbeConn) Login(ctx context.Context) error {
	answer, err := c.ask(ctx, 1, &saslhandshake.Request{Mechanism: c.probe.mechanism.Name()})
	if err != nil {
		return err
	}
	if err := CodeErr(answer.(*saslhandshake.Response).ErrorCode); err != nil {
		return err
	}
	session, state, err := c.probe.mechanism.Start(ctx)
	if err != nil {
		return err
	}
	for completed := false; !completed; {
		answer, err := c.ask(ctx, 1, &saslauthenticate.Request{AuthBytes: state})
		if err != nil {
			return err
		}
		r := answer.(*saslauthenticate.Response)
		if err := codeErr(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
		if completed, state, err = session.Next(ctx, r.AuthBytes); err != nil {
			return err
		}
	}
	return nil
}

// Operations is a set of what a user may do to a resource, by Kafka's numbers for AclOperation.
type Operations int32

// Operations that the bus needs.
const (
	OperationRead            Operations = 1 << 3
	OperationWrite           Operations = 1 << 4
	OperationCreate          Operations = 1 << 5
	OperationDescribe        Operations = 1 << 8
	OperationDescribeConfigs Operations = 1 << 10
	OperationIdempotentWrite Operations = 1 << 12
)

// known reports whether the broker has told them: it leaves them at the least number, or at 0, otherwise.
func (o Operations) known() bool { return o > 0 }

// Permissions is a cluster as a user sees it, and what the user may do.
type Permissions struct {
	Brokers []Broker
	// Cluster has what the user may do to the cluster; 0 if the brokers do not say.
	Cluster Operations
	// Topics are those that were asked for, by name, or all that the user may describe.
	Topics map[string]TopicPermissions
}

// TopicPermissions is a topic, and what the user may do to it.
type TopicPermissions struct {
	Partitions int
	Internal   bool
	Allowed    Operations // 0 if the brokers do not say
	Err        error      // why the broker tells nothing of it
}

// Permissions asks for the brokers of the cluster and for topics; nil: for all topics.
func (c *ProbeConn) Permissions(ctx context.Context, topics []string) (*Permissions, error) {
	answer, err := c.ask(ctx, 8, &metadata.Request{
		TopicNames: topics, IncludeClusterAuthorizedOperations: true, IncludeTopicAuthorizedOperations: true,
	})
	if err != nil {
		return nil, err
	}
	r := answer.(*metadata.Response)
	p := &Permissions{Topics: make(map[string]TopicPermissions, len(r.Topics))}
	if o := Operations(r.ClusterAuthorizedOperations); o.known() {
		p.Cluster = o
	}
	for _, b := range r.Brokers {
		p.Brokers = append(p.Brokers, Broker{ID: b.NodeID, Host: b.Host, Port: b.Port})
	}
	for _, t := range r.Topics {
		topic := TopicPermissions{Partitions: len(t.Partitions), Internal: t.IsInternal, Err: CodeErr(t.ErrorCode)}
		if o := Operations(t.TopicAuthorizedOperations); o.known() {
			topic.Allowed = o
		}
		p.Topics[t.Name] = topic
	}
	return p, nil
}

// Coordinator returns the broker that coordinates a group.
func (c *ProbeConn) Coordinator(ctx context.Context, group string) (Broker, error) {
	answer, err := c.ask(ctx, 2, &findcoordinator.Request{Key: group})
	if err != nil {
		return Broker{}, err
	}
	r := answer.(*findcoordinator.Response)
	return Broker{ID: r.NodeID, Host: r.Host, Port: r.Port}, codeErr(r.ErrorCode, r.ErrorMessage)
}

// Group asks a group's coordinator what the user may do to the group; 0 if it does not say.
func (c *ProbeConn) Group(ctx context.Context, group string) (Operations, error) {
	answer, err := c.ask(ctx, 3, &describegroups.Request{Groups: []string{group}, IncludeAuthorizedOperations: true})
	if err != nil {
		return 0, err
	}
	groups := answer.(*describegroups.Response).Groups
	if len(groups) != 1 {
		return 0, fmt.Errorf("the response has %d groups instead of one", len(groups))
	}
	o := Operations(groups[0].AuthorizedOperations)
	if !o.known() {
		o = 0
	}
	return o, CodeErr(groups[0].ErrorCode)
}

// maxProbeAnswer bounds an answer: what is larger does not come from Kafka.
const maxProbeAnswer = 64 << 20

// NotKafkaError is an answer that has no form of Kafka's protocol.
type NotKafkaError struct {
	First [4]byte // the first bytes of it
}

func (e *NotKafkaError) Error() string {
	return fmt.Sprintf("the answer begins with %q, which is not Kafka's protocol", e.First[:])
}

// ask sends a request and returns its response. It ends when ctx does.
func (c *ProbeConn) ask(ctx context.Context, version int16,
	request protocol.Message) (answer protocol.Message, err error) {
	defer func() {
		if p := recover(); p != nil { // an answer can make kafka-go panic
			answer, err = nil, fmt.Errorf("%s: kafka-go panicked: %v", request.ApiKey(), p)
		}
	}()
	c.correlation++
	var b bytes.Buffer
	if err := protocol.WriteRequest(&b, version, c.correlation, c.probe.settings.ClientID, request); err != nil {
		return nil, err
	}
	frame, err := c.exchange(ctx, b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.ApiKey(), err)
	}
	id, answer, err := protocol.ReadResponse(bytes.NewReader(frame), request.ApiKey(), version)
	if err == nil && id != c.correlation {
		err = fmt.Errorf("the answer has the correlation id %d instead of %d", id, c.correlation)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request.ApiKey(), err)
	}
	return answer, nil
}

// exchange sends a framed request and returns the framed response. When ctx ends, what waits fails with
// [os.ErrDeadlineExceeded].
func (c *ProbeConn) exchange(ctx context.Context, request []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxProbeAnswer {
		return nil, &NotKafkaError{head}
	}
	var frame bytes.Buffer // grows with what arrives
	frame.Write(head[:])
	if _, err := io.CopyN(&frame, c, int64(size)); err != nil {
		return nil, err
	}
	return frame.Bytes(), nil
}
