//go:build unix

package main

import (
	"syscall"
	"testing"
)

// A replay that stands still for longer than its session has lost its turn: another one does the rest. When it wakes it
// reads what the other has done, and repeats no more than the batch that it was writing.
func TestAReplayThatFrozeRepeatsOneBatch(t *testing.T) {
	t.Parallel()
	const records = 2_000
	m := newMending(t, records)
	group := m.groups[0]
	frozen, exited := m.startReplay(group, 0)
	_ = frozen.Process.Signal(syscall.SIGSTOP) // it may have ended
	if out, err := m.replay(group).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	_ = frozen.Process.Signal(syscall.SIGCONT)
	<-exited
	if code := frozen.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the frozen program ended with %d: %s", code, frozen.Stderr)
	}
	m.wait(group, records)
	if _, repeats := m.count(group); repeats > 100 {
		t.Errorf("%d records are handled twice, of which 100 are allowed", repeats)
	}
}
