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

// Pause stops a node (they count from 0) with SIGSTOP: it hangs, and its connections with it. Where the system shows
// its threads (Linux), Pause returns when all of them stand still: the signal reaches them one by one, and one that
// still runs could answer a request that is made after Pause. Kill and Close end a paused node all the same.
func (c *Cluster) Pause(i int) error {
	n := c.nodes[i]
	if err := n.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); !stopped(n.process.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("apache: node %d still runs %s after SIGSTOP", n.id, patience)
		}
	}
	return nil
}

// Resume lets a paused node go on.
func (c *Cluster) Resume(i int) error { return c.nodes[i].signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) error {
	if n.process == nil {
		return fmt.Errorf("apache: node %d does not run", n.id)
	}
	return n.process.cmd.Process.Signal(s)
}

// stopped reports whether no thread of a process runs, as far as /proc tells.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The state stands behind the name, which is in parentheses and may hold any byte. Z and X are threads that have
		// ended.
		end := bytes.LastIndexByte(stat, ')')
		if end >= 0 && end+2 < len(stat) && !bytes.ContainsRune([]byte("TtZX"), rune(stat[end+2])) {
			return false
		}
	}
	return true
}
