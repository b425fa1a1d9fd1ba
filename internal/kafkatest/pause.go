package kafkatest

// pauser is a backend that can stop a broker without ending it.
type pauser interface {
	pause(node int) error
	resume(node int) error
}

// CanPause reports whether Pause and Resume work: on a cluster of the test's own with KAFKA=apache on Unix.
func (c *Cluster) CanPause() bool {
	_, ok := c.b.(pauser)
	return c.own && ok
}

// Pause stops a broker (nodes count from 0) as SIGSTOP does: its connections stay open, new ones are accepted, and no
// request is answered. It skips the test when CanPause is false.
func (c *Cluster) Pause(node int) {
	c.t.Helper()
	if err := c.pauser().pause(node); err != nil {
		c.t.Fatalf("kafkatest: pausing broker %d: %v", node, err)
	}
}

// Resume continues a paused broker.
func (c *Cluster) Resume(node int) {
	c.t.Helper()
	if err := c.pauser().resume(node); err != nil {
		c.t.Fatalf("kafkatest: resuming broker %d: %v", node, err)
	}
}

func (c *Cluster) pauser() pauser {
	c.t.Helper()
	if !c.own {
		c.t.Fatal("kafkatest: Pause and Resume need a cluster that was started with Own()")
	}
	p, ok := c.b.(pauser)
	if !ok {
		c.t.Skip("this Kafka cannot be paused: run with KAFKA=apache")
	}
	return p
}

func (p processes) pause(node int) error  { return p.cluster.Pause(node) }
func (p processes) resume(node int) error { return p.cluster.Resume(node) }
