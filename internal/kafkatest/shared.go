package kafkatest

import (
	"sync"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// shared holds the clusters that the tests of this binary share, by their number of brokers. It is the package's only
// variable: a test binary has no better place for state that outlives a test.
var shared = &pool{clusters: make(map[int]*sharedCluster)}

// pool counts the users of each shared cluster, and stops the cluster after the last one.
type pool struct {
	mu       sync.Mutex
	keep     bool // Main runs: clusters stay until it ends
	clusters map[int]*sharedCluster
}

type sharedCluster struct {
	b     backend
	err   error // the error of the start, for every test that asks
	users int
}

// get returns the shared cluster for the test, which the first test starts, and releases it when the test ends.
func (p *pool) get(t testing.TB, from provider, r request) backend {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clusters[r.nodes]
	if c == nil {
		c = &sharedCluster{}
		c.b, c.err = from.start(r)
		p.clusters[r.nodes] = c
	}
	if c.err != nil {
		t.Fatalf("kafkatest: starting the shared cluster: %v", c.err)
	}
	c.users++
	t.Cleanup(func() {
		if err := p.release(r.nodes); err != nil {
			t.Errorf("kafkatest: stopping the shared cluster: %v", err)
		}
	})
	return c.b
}

func (p *pool) release(nodes int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clusters[nodes]
	c.users--
	if c.users > 0 || p.keep {
		return nil
	}
	delete(p.clusters, nodes)
	return c.b.stop()
}

// stop stops the clusters that Main kept.
func (p *pool) stop() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = false
	for nodes, c := range p.clusters {
		delete(p.clusters, nodes)
		if c.b != nil {
			if stopErr := c.b.stop(); err == nil {
				err = stopErr
			}
		}
	}
	return err
}

// Main is [testkit.Main] that also keeps the shared cluster between the package's tests and stops it after the last.
// Call it from TestMain:
//
//	func TestMain(m *testing.M) { kafkatest.Main(m) }
//
// The functions of end are called after the last test.
func Main(m *testing.M, end ...func() error) {
	shared.mu.Lock()
	shared.keep = true
	shared.mu.Unlock()
	testkit.Main(m, append(end, shared.stop)...)
}
