//go:build unix

package apache

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Pause stops node i (from 0) with SIGSTOP, so that it and its connections hang. On Linux Pause returns when all
// threads of the node have stopped: the signal stops them one by one, and a running thread could still answer a
// request. Kill and Close also end a paused node.
func (c *Cluster) Pause(i int) error {
	n := c.nodes[i]
	if err := n.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	const waitTimeout = 10 * time.Second
	for deadline := time.Now().Add(waitTimeout); !stopped(n.process.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("apache: node %d still runs %s after SIGSTOP", n.id, waitTimeout)
		}
	}
	return nil
}

// Resume continues a paused node.
func (c *Cluster) Resume(i int) error { return c.nodes[i].signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) error {
	if n.process == nil {
		return fmt.Errorf("apache: node %d does not run", n.id)
	}
	return n.process.cmd.Process.Signal(s)
}

// stopped reports whether /proc shows no running thread of a process.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// The state follows the name, which is in parentheses and may contain any byte. Z and X are threads that have
		// ended.
		end := bytes.LastIndexByte(stat, ')')
		if end >= 0 && end+2 < len(stat) && !bytes.ContainsRune([]byte("TtZX"), rune(stat[end+2])) {
			return false
		}
	}
	return true
}
