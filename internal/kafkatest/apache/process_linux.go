package apache

import "syscall"

// processAttributes put Kafka into a process group of its own, so that an interrupt typed at the terminal reaches the
// tests first, and tie its life to ours.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
