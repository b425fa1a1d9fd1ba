// Package kafkatest gives a test its Kafka. Which one, the environment variable KAFKA says:
//
//   - unset or "embedded": the development broker (internal/devkafka) in the test process.
//   - "apache": a real Apache Kafka of version apache.Version, or of the one that "apache:3.9.1" names, fetched by
//     Maven and run as plain Java processes on loopback. With KAFKATEST_SHARED=host:port, tests that share a cluster
//     share that one, and only Own starts processes.
//   - "docker": a container, through testcontainers. Without a Docker daemon the test is skipped.
//   - "host:port[,host:port]": the cluster that is there.
//
// By default all tests of a binary share one cluster, which starts when the first test asks for it; so every test works
// under a topic prefix of its own ([Cluster.Prefix]) and uses group names that begin with it. A package calls [Main]
// from its TestMain to keep the shared cluster until its last test and to look for leaked goroutines; without it the
// cluster stops when no test is using it, and starts again for the next. A test that kills brokers or injects faults
// asks for a cluster of its own with [Own].
//
// A test that needs what its Kafka cannot do is skipped, with a reason that names the KAFKA that can.
package kafkatest

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Option says what a test needs. By default it needs one broker and shares it.
type Option func(*request)

// request is what a test asked for.
type request struct {
	nodes int
	own   bool
	kfake []kfake.Opt
	props map[string]string

	shortSessions bool // the brokers have to allow them

	needsKfake bool // the test is skipped on any other Kafka, also where kfake has no options

	user, password string // both empty: no authentication
}

// needsEmbedded is why a test that asks for Kfake does not run elsewhere.
const needsEmbedded = "injects faults into the embedded broker: run without KAFKA"

// Nodes asks for a cluster of n brokers.
func Nodes(n int) Option { return func(r *request) { r.nodes = n } }

// Own asks for a cluster that no other test uses, so that this one may kill its brokers, inject faults and count what
// is in it. It is stopped when the test ends. With KAFKA=apache it is one Java process a node, and busy while it
// starts: such tests should not be parallel.
func Own() Option { return func(r *request) { r.own = true } }

// Kfake asks for an embedded cluster of the test's own, made with further options of kfake. The test is skipped on any
// other Kafka, as kfake is what it is about.
func Kfake(opts ...kfake.Opt) Option {
	return func(r *request) { r.own, r.needsKfake, r.kfake = true, true, append(r.kfake, opts...) }
}

// Property asks for a cluster of the test's own whose brokers have this line in their server.properties. Only
// KAFKA=apache can do it.
func Property(name, value string) Option {
	return func(r *request) {
		if r.props == nil {
			r.props = make(map[string]string)
		}
		r.own, r.props[name] = true, value
	}
}

// SASL asks for a cluster of the test's own that wants this user and password from its clients, over SASL without TLS:
// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. KAFKA=apache also takes unsecured tokens (OAUTHBEARER), of anybody.
func SASL(user, password string) Option {
	return func(r *request) { r.own, r.user, r.password = true, user, password }
}

// Cluster is a test's view of its Kafka.
type Cluster struct {
	t   testing.TB
	own bool
	b   backend
}

// backend is one kind of Kafka that runs.
type backend interface {
	servers() []string
	real() bool
	fake() *kfake.Cluster // nil where there is none
	canKill() bool
	kill(node int) error
	restart(node int) error
	log() string // the end of the broker's log, "" where there is none
	stop() error
}

// Start returns the test's cluster, ready for requests. It is stopped, or given back, when the test ends. A cluster
// that cannot be had skips the test; one that does not start fails it.
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

// Prefix returns a topic prefix that no other test, and no other run, has: the test's name and a few random letters,
// ending in a dot.
func (c *Cluster) Prefix(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '-'
	}, t.Name())
	const longest = 60 // a topic's name has at most 249 characters, and the test wants most of them
	return name[:min(len(name), longest)] + "-" + strings.ToLower(rand.Text()[:8]) + "."
}

// IsReal says whether this is Apache Kafka, or what stands at KAFKA=host:port, and not the embedded broker.
func (c *Cluster) IsReal() bool { return c.b.real() }

// Fake returns the embedded cluster, to inject faults into, and nil on a real one. Faults belong in a cluster of the
// test's own.
func (c *Cluster) Fake() *kfake.Cluster { return c.b.fake() }

// CanKill says whether Kill and Restart work: on a cluster of the test's own, embedded with one broker or KAFKA=apache.
func (c *Cluster) CanKill() bool { return c.own && c.b.canKill() }

// Kill ends a broker (nodes count from 0) at once: a real one by SIGKILL, the embedded one by closing its connections.
// The test is skipped where CanKill is false.
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
