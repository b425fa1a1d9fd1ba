//go:build unix

package apache

import (
	"fmt"
	"syscall"
)

// Pause stops a node (they count from 0) with SIGSTOP: it hangs, and its connections with it. Kill and Close end it all the same.
func (c *Cluster) Pause(i int) error { return c.nodes[i].signal(syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (c *Cluster) Resume(i int) error { return c.nodes[i].signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) error {
	if n.process == nil {
		return fmt.Errorf("apache: node %d does not run", n.id)
	}
	return n.process.cmd.Process.Signal(s)
}
