package spool

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
)

var errStopped = errors.New("the file system has stopped")

// crashFS is a file system in memory that stops at its operation number stopAt, of which half may be done, and that
// knows what would be on the disk then.
type crashFS struct {
	stopAt, operations int
	full               int64 // bytes that all files together may have; 0: any number
	failSync           bool

	names       map[string]*crashFile // as a process sees it
	syncedNames map[string]*crashFile // as after a power failure
}

type crashFile struct {
	fs           *crashFS
	data, synced []byte
}

func newCrashFS() *crashFS {
	return &crashFS{stopAt: -1, names: map[string]*crashFile{}, syncedNames: map[string]*crashFile{}}
}

// operate counts an operation. It returns an error from the one on at which the file system stops; now tells that it is
// that one.
func (c *crashFS) operate() (now bool, err error) {
	c.operations++
	if c.stopAt >= 0 && c.operations >= c.stopAt {
		return c.operations == c.stopAt, errStopped
	}
	return false, nil
}

// survival is what is left after the file system has stopped.
type survival int

const (
	allSurvives    survival = iota // the process ended
	syncedSurvives                 // the power failed
	someSurvives                   // the power failed, and some of what was not synced was written
	survivals
)

// restart returns the file system as the next process finds it.
func (c *crashFS) restart(how survival, random *rand.Rand) *crashFS {
	next := newCrashFS()
	names := maps.Clone(c.names)
	switch how {
	case syncedSurvives:
		names = maps.Clone(c.syncedNames)
	case someSurvives:
		for name, f := range c.syncedNames {
			if random.IntN(2) == 0 {
				names[name] = f
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if c.syncedNames[name] == nil && random.IntN(2) == 0 {
				delete(names, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := names[name]
		data := slices.Clone(f.data)
		if how == syncedSurvives || how == someSurvives && random.IntN(2) == 0 {
			data = slices.Clone(f.synced)
		} else if how == someSurvives && len(f.data) > len(f.synced) {
			data = data[:len(f.synced)+random.IntN(len(f.data)-len(f.synced)+1)]
		}
		survivor := &crashFile{fs: next, data: data, synced: slices.Clone(data)}
		next.names[name], next.syncedNames[name] = survivor, survivor
	}
	return next
}

func (c *crashFS) list() ([]string, error) { return slices.Sorted(maps.Keys(c.names)), nil }

func (c *crashFS) create(name string) (file, error) {
	now, err := c.operate()
	if err == nil || now {
		c.names[name] = &crashFile{fs: c}
	}
	if err != nil {
		return nil, err
	}
	return c.names[name], nil
}

func (c *crashFS) open(name string) (file, int64, error) {
	if c.names[name] == nil {
		if _, err := c.create(name); err != nil {
			return nil, 0, err
		}
	}
	return c.read(name)
}

func (c *crashFS) read(name string) (file, int64, error) {
	f := c.names[name]
	if f == nil {
		return nil, 0, fs.ErrNotExist
	}
	return f, int64(len(f.data)), nil
}

func (c *crashFS) remove(name string) error {
	now, err := c.operate()
	if err == nil || now {
		delete(c.names, name)
	}
	return err
}

func (c *crashFS) sync() error {
	if _, err := c.operate(); err != nil {
		return err
	}
	if c.failSync {
		return errStopped
	}
	c.syncedNames = maps.Clone(c.names)
	return nil
}

func (c *crashFS) close() error { return nil }

func (c *crashFS) size() (n int64) {
	for _, f := range c.names {
		n += int64(len(f.data))
	}
	return n
}

func (f *crashFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset > int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, offset int64) (int, error) {
	now, err := f.fs.operate()
	if err != nil && !now {
		return 0, err
	}
	if err != nil {
		p = p[:len(p)/2]
	}
	if grow := offset + int64(len(p)) - int64(len(f.data)); grow > 0 {
		if room := f.fs.full - f.fs.size(); f.fs.full > 0 && grow > room {
			p, grow, err = p[:int64(len(p))-grow+room], room, errors.New("no space left on device")
		}
		f.data = append(f.data, make([]byte, grow)...)
	}
	return copy(f.data[offset:], p), err
}

func (f *crashFile) Truncate(size int64) error {
	now, err := f.fs.operate()
	if err == nil || now {
		f.data = f.data[:size]
	}
	return err
}

func (f *crashFile) Sync() error {
	if _, err := f.fs.operate(); err != nil {
		return err
	}
	if f.fs.failSync {
		return errStopped
	}
	f.synced = slices.Clone(f.data)
	return nil
}

func (f *crashFile) Close() error { return nil }
