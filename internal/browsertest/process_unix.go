//go:build unix

package browsertest

import (
	"os/exec"
	"syscall"
)

// ownGroup starts the process as the leader of a process group that contains its children.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
