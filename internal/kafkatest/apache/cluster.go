// Package apache runs a real Apache Kafka for tests: plain Java processes on loopback, from Maven's artifacts, in a
// temporary directory. It needs java, and mvn the first time.
//
// Kill and Close end the processes with SIGKILL, and Linux does so when the test process dies. Acknowledged records
// survive Kill and Restart, because they are in the page cache.
package apache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options configure a cluster.
type Options struct {
	// Version is the version of Apache Kafka. Defaults to [Version].
	Version string

	// Nodes is the number of processes; each is a broker and a controller. Defaults to 1.
	Nodes int

	// Properties are further lines for every server.properties; they override the lines of this package.
	Properties map[string]string

	// User and Password enable SASL without TLS: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER with unsecured
	// tokens of any user. Defaults to no authentication.
	User, Password string
}

// Cluster is a running cluster. Kill and Restart of one node must not be called concurrently.
type Cluster struct {
	dir   string
	jars  string
	nodes []*node
}

// Start starts a cluster and returns when every node answers and knows all others. ctx bounds the start only: the
// cluster runs until Close.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Nodes <= 0 {
		o.Nodes = 1
	}
	jars, err := Fetch(ctx, cmp.Or(o.Version, Version))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kafkaesk-apache-")
	if err != nil {
		return nil, fmt.Errorf("apache: creating a temporary directory: %w", err)
	}
	c := &Cluster{dir: dir, jars: jars}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, c.Log()), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	ports, err := FreePorts(3 * o.Nodes)
	if err != nil {
		return err
	}
	heap := "-Xmx512m"
	if o.Nodes > 1 {
		heap = "-Xmx384m"
	}
	var voters []string
	for i := range o.Nodes {
		n := &node{
			id: i + 1, dir: filepath.Join(c.dir, fmt.Sprintf("node-%d", i+1)), jars: c.jars, heap: heap, secured: o.User != "",
			plainPort: ports[3*i], saslPort: ports[3*i+1], controllerPort: ports[3*i+2],
		}
		c.nodes = append(c.nodes, n)
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", n.id, n.controllerPort))
	}
	var cluster [16]byte
	_, _ = rand.Read(cluster[:]) // crypto/rand.Read never fails
	// An id that begins with a dash would be parsed as a flag.
	uuid := "k" + base64.RawURLEncoding.EncodeToString(cluster[:])[1:]
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		g.Go(func() error {
			if err := n.format(gctx, uuid, n.properties(strings.Join(voters, ","), o), o); err != nil {
				return err
			}
			if err := n.start(); err != nil {
				return err
			}
			return n.waitReady(gctx, o.Nodes)
		})
	}
	return g.Wait()
}

// Servers returns the host:port of every node.
func (c *Cluster) Servers() []string {
	var out []string
	for _, n := range c.nodes {
		out = append(out, n.clientAddr())
	}
	return out
}

// Kill ends node i (from 0) with SIGKILL and returns when it has ended. A node that does not run is ignored.
func (c *Cluster) Kill(i int) { c.nodes[i].kill() }

// Restart starts a killed node with its data and its ports, and returns when it answers and is a member of the
// cluster again.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	n := c.nodes[i]
	if err := n.start(); err != nil {
		return err
	}
	return n.waitReady(ctx, 1)
}

// Log returns the end of every node's log.
func (c *Cluster) Log() string {
	const most = 8 << 10
	var b strings.Builder
	for _, n := range c.nodes {
		log, err := os.ReadFile(n.logFile())
		if err != nil {
			continue // the node never started
		}
		fmt.Fprintf(&b, "--- %s\n%s", n.logFile(), log[max(0, len(log)-most):])
	}
	return b.String()
}

// Close ends every node and removes their data.
func (c *Cluster) Close() error {
	for _, n := range c.nodes {
		n.kill()
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("apache: removing the cluster's data: %w", err)
	}
	return nil
}

// properties returns the lines of a node's server.properties.
func (n *node) properties(voters string, o Options) map[string]string {
	replicas, inSync := fmt.Sprint(o.Nodes), fmt.Sprint(min(o.Nodes, 2))
	p := map[string]string{
		"process.roles":            "broker,controller",
		"node.id":                  fmt.Sprint(n.id),
		"broker.rack":              fmt.Sprint(n.id), // each node has a rack of its own
		"controller.quorum.voters": voters,
		"listeners": fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", n.plainAddr(),
			n.controllerPort),
		"advertised.listeners":             "PLAINTEXT://" + n.plainAddr(),
		"inter.broker.listener.name":       "PLAINTEXT",
		"controller.listener.names":        "CONTROLLER",
		"listener.security.protocol.map":   "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
		"log.dirs":                         filepath.Join(n.dir, "data"),
		"num.partitions":                   "4",
		"offsets.topic.num.partitions":     "4",
		"group.initial.rebalance.delay.ms": "0",
		// Tests of expired sessions cannot wait for the default of 6 s.
		"group.min.session.timeout.ms": "100",
		// The controller lets a killed broker return when its old session has expired: after 3 s instead of 13 s.
		"broker.session.timeout.ms":    "1500",
		"broker.heartbeat.interval.ms": "300",

		// By default a topic has a replica on every node, because Kill may end its leader.
		"default.replication.factor":                       replicas,
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.num.partitions":             "2",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,
	}
	if n.secured {
		sasl := fmt.Sprintf("SASL://127.0.0.1:%d", n.saslPort)
		p["listeners"] += "," + sasl
		p["advertised.listeners"] += "," + sasl
		p["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
		p["listener.name.sasl.oauthbearer.sasl.jaas.config"] = fmt.Sprintf(
			`org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="%s";`,
			o.User)
		p["listener.name.sasl.plain.sasl.jaas.config"] = fmt.Sprintf(
			`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, o.User, o.Password)
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			p["listener.name.sasl."+mechanism+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule " +
				"required;"
		}
	}
	maps.Copy(p, o.Properties)
	return p
}

// encode writes properties in a fixed order.
func encode(properties map[string]string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&b, "%s=%s\n", name, properties[name])
	}
	return []byte(b.String())
}

// readyTimeout bounds the start of a node on a machine that is busy with other tests.
const readyTimeout = 90 * time.Second
