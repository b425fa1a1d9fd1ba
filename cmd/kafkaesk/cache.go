package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
	"github.com/kafkaesk/kafkaesk/internal/privatedir"
)

// keepFor is how long a program stays in the cache after its last start. Another start is quick until then.
const keepFor = 7 * 24 * time.Hour

// cache keeps the programs that were started, so that the next start has little to build. It is a directory with one
// directory for every target, and beside each its lock, which stays when the directory goes.
type cache struct{ dir string }

// userCache is in the user's directory for such things: $XDG_CACHE_HOME/kafkaesk/workers, ~/.cache/kafkaesk/workers.
func userCache() (cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return cache{}, fmt.Errorf("finding the user's cache directory: %w", err)
	}
	return cache{filepath.Join(dir, "kafkaesk", "workers")}, nil
}

// entry is a directory of the cache that is locked: no other kafkaesk builds or starts what is in it.
type entry struct {
	dir  string
	lock *filelock.Lock
}

// open returns the entry of a key, and waits for whoever has it until ctx ends. The lock goes with the process when the
// entry is not closed: a file that is closed on exec holds it. What is in the cache is started, so nobody else may be
// able to write there.
func (c cache) open(ctx context.Context, key ...string) (*entry, error) {
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	e := &entry{dir: filepath.Join(c.dir, hex.EncodeToString(sum[:12]))}
	for _, dir := range []string{filepath.Dir(c.dir), c.dir} {
		if err := privatedir.Make(dir); err != nil {
			return nil, fmt.Errorf("opening the cache: %w (XDG_CACHE_HOME says where the cache is)", err)
		}
	}
	var err error
	if e.lock, err = filelock.Wait(ctx, e.dir+".lock"); err != nil {
		return nil, fmt.Errorf("opening the cache: %w", err)
	}
	now := time.Now()
	err = e.removeForeign()
	if err == nil {
		err = errors.Join(privatedir.Make(e.dir), os.Chtimes(e.dir, now, now))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the cache: %w", err), e.lock.Unlock())
	}
	return e, nil
}

// removeForeign removes the entry when it, or a file in it, is a link, another user's, or one that others can write:
// from a time when others could write in the cache. The go command would take such a program for its own.
func (e *entry) removeForeign() error {
	info, err := os.Lstat(e.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	foreign := err != nil || privatedir.Check(info) != nil
	if !foreign {
		inside, err := os.ReadDir(e.dir)
		foreign = err != nil
		for _, d := range inside {
			info, err := d.Info()
			foreign = foreign || err != nil || privatedir.Check(info) != nil
		}
	}
	if !foreign {
		return nil
	}
	return os.RemoveAll(e.dir)
}

func (e *entry) close() error { return e.lock.Unlock() }

// prune removes what has not been started for long. What cannot be removed stays until the next time: no start fails
// for it. A program that runs goes on without its file.
func (c cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, d := range entries {
		if info, err := d.Info(); err != nil || !d.IsDir() || time.Since(info.ModTime()) < keepFor {
			continue
		}
		dir := filepath.Join(c.dir, d.Name())
		lock, err := filelock.Try(dir + ".lock")
		if err != nil {
			continue
		}
		_ = os.RemoveAll(dir)
		_ = lock.Unlock()
	}
}
