package apache

import "syscall"

// processAttributes puts Kafka into a process group of its own, so that an interrupt at the terminal reaches only the
// tests, and ends Kafka when this process dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
