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

// keepFor is how long an unused program stays in the cache. A start within that time builds little.
const keepFor = 7 * 24 * time.Hour

// cache stores the programs that were started, so that the next start is quick. Its directory has one directory for
// each target, and beside each its lock file, which stays when the directory is removed.
type cache struct{ dir string }

// userCache returns the cache in the user's cache directory: $XDG_CACHE_HOME/kafkaesk/workers or
// ~/.cache/kafkaesk/workers.
func userCache() (cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return cache{}, fmt.Errorf("finding the user's cache directory: %w", err)
	}
	return cache{filepath.Join(dir, "kafkaesk", "workers")}, nil
}

// entry is a locked directory of the cache: no other kafkaesk builds or starts its program.
type entry struct {
	dir  string
	lock *filelock.Lock
}

// open returns the entry of a key. It waits for the entry's lock until ctx ends. The lock file is closed on exec, so
// the lock ends with the process even if the entry is not closed. The programs in the cache are started, so no other
// user may be able to write there.
func (c cache) open(ctx context.Context, key ...string) (*entry, error) {
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	e := &entry{dir: filepath.Join(c.dir, hex.EncodeToString(sum[:12]))}
	for _, dir := range []string{filepath.Dir(c.dir), c.dir} {
		if err := privatedir.Make(dir); err != nil {
			return nil, fmt.Errorf("opening the cache: %w (XDG_CACHE_HOME sets the directory)", err)
		}
	}
	var err error
	if e.lock, err = filelock.Wait(ctx, e.dir+".lock"); err != nil {
		return nil, fmt.Errorf("opening the cache: %w", err)
	}
	now := time.Now()
	err = e.removeUntrusted()
	if err == nil {
		err = errors.Join(privatedir.Make(e.dir), os.Chtimes(e.dir, now, now))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the cache: %w", err), e.lock.Unlock())
	}
	return e, nil
}

// removeUntrusted removes the entry if it, or a file in it, is a link, belongs to another user, or is writable by
// others. The go command would otherwise accept such a program as its own.
func (e *entry) removeUntrusted() error {
	info, err := os.Lstat(e.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	untrusted := err != nil || privatedir.Check(info) != nil
	if !untrusted {
		inside, err := os.ReadDir(e.dir)
		untrusted = err != nil
		for _, d := range inside {
			info, err := d.Info()
			untrusted = untrusted || err != nil || privatedir.Check(info) != nil
		}
	}
	if !untrusted {
		return nil
	}
	return os.RemoveAll(e.dir)
}

func (e *entry) close() error { return e.lock.Unlock() }

// prune removes programs that were not started for keepFor. It ignores errors: they must not fail a start, and the
// next start tries again. A running program does not need its file.
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
