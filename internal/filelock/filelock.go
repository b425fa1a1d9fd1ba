// Package filelock holds an advisory lock on a file for as long as this process wants it. The kernel drops the lock
// when the process ends, however it ends, so there is never a stale one to clean up.
//
// The development broker and the spool lock their directories with it, and test binaries that run at the same time use
// it to fetch Apache Kafka only once. On Solaris and AIX the lock is one of the whole process (fcntl): it keeps other
// processes out, and not a second caller in the same one. On systems without file locks (Plan 9, WebAssembly) it is
// always granted.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrLocked says that another process, or another caller in this one, holds the lock.
var ErrLocked = errors.New("filelock: already locked")

// Lock is a lock that is held. Its methods may be called once, by one goroutine.
type Lock struct{ file *os.File }

// Try takes the lock on the file at path, creating the file if need be. It does not wait: it returns an error that
// wraps ErrLocked when somebody else has it. A link is an error: through it another user could have a file made or
// locked elsewhere.
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

// Wait takes the lock like Try, and asks again every 100 ms until it gets it or ctx ends.
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

// Unlock gives the lock back. The file stays: removing it would let two processes lock two files of one name.
func (l *Lock) Unlock() error {
	return l.file.Close()
}
