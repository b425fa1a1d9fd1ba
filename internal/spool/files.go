package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// fileSystem is the directory of a spool. Tests replace it with one that fails.
type fileSystem interface {
	list() ([]string, error)
	// create creates an empty file, or truncates an existing one.
	create(name string) (file, error)
	// open opens a file, and creates it if it is missing.
	open(name string) (f file, size int64, err error)
	// read opens a file for reading; fs.ErrNotExist: it is missing.
	read(name string) (f file, size int64, err error)
	remove(name string) error
	// sync returns when created and removed names are durable.
	sync() error
	close() error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// directory is a directory of the operating system. No name in it leads out of it.
type directory struct{ root *os.Root }

func (d directory) list() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d directory) create(name string) (file, error) {
	f, _, err := d.openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	return f, err
}

func (d directory) open(name string) (file, int64, error) {
	return d.openFile(name, os.O_RDWR|os.O_CREATE)
}
func (d directory) read(name string) (file, int64, error) { return d.openFile(name, os.O_RDWR) }

func (d directory) openFile(name string, flags int) (file, int64, error) {
	f, err := d.root.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(name + " is not a regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d directory) remove(name string) error { return d.root.Remove(name) }

func (d directory) sync() error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a directory, and does not need it
	}
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

func (d directory) close() error { return d.root.Close() }
