//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// cpuTime is what this process has used, in user and kernel mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no error for this argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ioBytes returns how many bytes this process has read and written, which is the network where it touches no files. It
// is 0 but on Linux.
func ioBytes() (in, out float64) {
	return procField("/proc/self/io", "rchar:"), procField("/proc/self/io", "wchar:")
}

// peakRSS is the largest memory that this process has had, in MB. It is 0 but on Linux.
func peakRSS() float64 { return procField("/proc/self/status", "VmHWM:") / 1000 }

func procField(file, name string) float64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, after, ok := strings.Cut(string(text), name)
	if !ok {
		return 0
	}
	var value float64
	_, _ = fmt.Sscan(after, &value) // 0 where it is no number
	return value
}

// startProfile begins a CPU profile of this process, which stop ends; none without a file.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return out.Close()
	}, nil
}
