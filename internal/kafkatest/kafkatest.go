// Package kafkatest provides the Kafka of a test. The environment variable KAFKA selects it:
//
//   - unset or "embedded": the development broker (internal/devkafka) in the test process.
//   - "apache": a real Apache Kafka of version apache.Version, or of the one that "apache:3.9.1" names, downloaded by
//     Maven and run as plain Java processes on loopback. With KAFKATEST_SHARED=host:port, tests that share a cluster
//     use that one, and only Own starts processes.
//   - "docker": a container, through testcontainers. Without a Docker daemon the test is skipped.
//   - "host:port[,host:port]": an existing cluster.
//
// By default all tests of a binary share one cluster, which starts when the first test asks for it. Every test
// therefore uses a topic prefix of its own ([Cluster.Prefix]) and group names that begin with it. A package calls
// [Main] from its TestMain to keep the shared cluster until its last test and to check for leaked goroutines; without
// it the cluster stops when no test uses it. A test that kills brokers or injects faults asks for a cluster of its
// own with [Own].
//
// A test that needs a feature that its Kafka lacks is skipped with a reason that names a KAFKA that has it.
package kafkatest

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Option is a requirement of a test. By default a test needs one broker and shares it.
type Option func(*request)

// request collects the requirements of a test.
type request struct {
	nodes int
	own   bool
	kfake []kfake.Opt
	props map[string]string

	shortSessions bool // the brokers must allow them

	needsKfake bool // skip the test on any other Kafka, even without options for kfake

	user, password string // both empty: no authentication
}

// needsEmbedded is why a test that asks for Kfake does not run on another Kafka.
const needsEmbedded = "injects faults into the embedded broker: run without KAFKA"

// Nodes asks for a cluster of n brokers.
func Nodes(n int) Option { return func(r *request) { r.nodes = n } }

// Own asks for a cluster that no other test uses, so that this test may kill its brokers, inject faults and count its
// records. It is stopped when the test ends. With KAFKA=apache each node is a Java process that uses much CPU time
// while it starts, so such tests should not be parallel.
func Own() Option { return func(r *request) { r.own = true } }

// Kfake asks for an embedded cluster of the test's own with further options of kfake. The test is skipped on any
// other Kafka, because it tests faults of kfake.
func Kfake(opts ...kfake.Opt) Option {
	return func(r *request) { r.own, r.needsKfake, r.kfake = true, true, append(r.kfake, opts...) }
}

// Property asks for a cluster of the test's own with this line in each server.properties. It needs KAFKA=apache.
func Property(name, value string) Option {
	return func(r *request) {
		if r.props == nil {
			r.props = make(map[string]string)
		}
		r.own, r.props[name] = true, value
	}
}

// SASL asks for a cluster of the test's own whose clients must log in with this user and password, over SASL without
// TLS: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. KAFKA=apache also accepts unsecured tokens (OAUTHBEARER) of any user.
func SASL(user, password string) Option {
	return func(r *request) { r.own, r.user, r.password = true, user, password }
}

// Cluster is the Kafka of one test.
type Cluster struct {
	t   testing.TB
	own bool
	b   backend
}

// backend is a running Kafka of one kind.
type backend interface {
	servers() []string
	real() bool
	fake() *kfake.Cluster // nil on a real Kafka
	canKill() bool
	kill(node int) error
	restart(node int) error
	log() string // the end of the broker's log, "" without one
	stop() error
}

// Start returns the test's cluster, ready for requests. It is stopped or released when the test ends. The test is
// skipped when the cluster is not available, and fails when the cluster does not start.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	r := request{nodes: 1}
	for _, o := range opts {
		o(&r)
	}
	p := newProvider(t)
	if reason := p.cannot(r); reason != "" {
		t.Skip(reason)
	}
	if !r.own {
		return &Cluster{t: t, b: shared.get(t, p, r)}
	}
	b, err := p.start(r)
	if err != nil {
		t.Fatalf("kafkatest: starting a cluster: %v", err)
	}
	t.Cleanup(func() {
		if log := b.log(); t.Failed() && log != "" {
			t.Logf("the end of the broker's log:\n%s", log)
		}
		if err := b.stop(); err != nil {
			t.Errorf("kafkatest: stopping the cluster: %v", err)
		}
	})
	return &Cluster{t: t, own: true, b: b}
}

// Servers returns the host:port of every broker.
func (c *Cluster) Servers() []string { return slices.Clone(c.b.servers()) }

// Prefix returns a topic prefix that is unique to this test and run: the test's name and a few random letters, ending
// in a dot.
func (c *Cluster) Prefix(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '-'
	}, t.Name())
	const longest = 60 // a topic name has at most 249 characters, and the test needs most of them
	return name[:min(len(name), longest)] + "-" + strings.ToLower(rand.Text()[:8]) + "."
}

// IsReal reports whether this is Apache Kafka or the cluster of KAFKA=host:port, and not the embedded broker.
func (c *Cluster) IsReal() bool { return c.b.real() }

// Fake returns the embedded cluster for fault injection, and nil on a real one. Inject faults only into a cluster of
// the test's own.
func (c *Cluster) Fake() *kfake.Cluster { return c.b.fake() }

// CanKill reports whether Kill and Restart work: on a cluster of the test's own, embedded with one broker or
// KAFKA=apache.
func (c *Cluster) CanKill() bool { return c.own && c.b.canKill() }

// Kill ends a broker (nodes count from 0) at once: a real one by SIGKILL, the embedded one by closing its
// connections. It skips the test when CanKill is false.
func (c *Cluster) Kill(node int) {
	c.t.Helper()
	c.needKill()
	if err := c.b.kill(node); err != nil {
		c.t.Fatalf("kafkatest: killing broker %d: %v", node, err)
	}
}

// Restart starts a killed broker again with the same data and the same address, and returns when it answers.
func (c *Cluster) Restart(node int) {
	c.t.Helper()
	c.needKill()
	if err := c.b.restart(node); err != nil {
		c.t.Fatalf("kafkatest: restarting broker %d: %v\n%s", node, err, c.b.log())
	}
}

func (c *Cluster) needKill() {
	c.t.Helper()
	if !c.own {
		c.t.Fatal("kafkatest: Kill and Restart need a cluster that was started with Own()")
	}
	if !c.b.canKill() {
		c.t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
}
