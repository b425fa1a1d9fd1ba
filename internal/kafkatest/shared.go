package kafkatest

import (
	"sync"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// shared are the clusters that the tests of this binary have in common, by their number of brokers. It is the one
// variable of the package, because a test binary has no better place for what outlives a test.
var shared = &pool{clusters: make(map[int]*sharedCluster)}

// pool counts who uses a shared cluster, and stops it after the last.
type pool struct {
	mu       sync.Mutex
	keep     bool // Main is running: clusters stay until it ends
	clusters map[int]*sharedCluster
}

type sharedCluster struct {
	b     backend
	err   error // why it did not start; told to every test that asks
	users int
}

// get returns the shared cluster for the test, starting it if it is the first to ask, and gives it back when the test
// ends.
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

// stop ends what Main kept.
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

// Main is [testkit.Main] that keeps the shared cluster among a package's tests and stops it after the last. Call it
// from TestMain:
//
//	func TestMain(m *testing.M) { kafkatest.Main(m) }
//
// The functions of end are called behind the last test.
func Main(m *testing.M, end ...func() error) {
	shared.mu.Lock()
	shared.keep = true
	shared.mu.Unlock()
	testkit.Main(m, append(end, shared.stop)...)
}
