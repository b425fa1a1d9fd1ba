// Package filelock holds an advisory lock on a file. The kernel releases the lock when the process ends for whatever
// reason, so a stale lock does not exist.
//
// The development broker and the spool lock their directories with it, and test binaries use it so that only one of
// them downloads Apache Kafka. On Solaris and AIX the lock is held by the whole process (fcntl): it excludes other
// processes, but not a second caller in the same one. On systems without file locks (Plan 9, WebAssembly) locking
// always succeeds.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrLocked means that another process, or another caller in this process, holds the lock.
var ErrLocked = errors.New("filelock: already locked")

// Lock is a held lock. Each of its methods may be called once, by one goroutine.
type Lock struct{ file *os.File }

// Try locks the file at path, which it creates if it is missing. It does not wait: it returns an error that wraps
// ErrLocked when the lock is held. A symbolic link is an error: through it another user could make this one create or
// lock a file elsewhere.
func Try(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("filelock: opening: %w", err)
	}
	return TryFile(f)
}

// TryFile takes the lock on a file that is open. It belongs to the lock then, and is closed when somebody else has it.
func TryFile(f *os.File) (*Lock, error) {
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("filelock: %s: %w", f.Name(), err)
	}
	return &Lock{file: f}, nil
}

// Wait is Try, repeated every 100 ms until the lock is free or ctx ends.
func Wait(ctx context.Context, path string) (*Lock, error) {
	for {
		l, err := Try(path)
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("filelock: waiting for %s: %w", path, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Unlock releases the lock. The file stays: with its removal two processes could lock two files of one name.
func (l *Lock) Unlock() error {
	return l.file.Close()
}
