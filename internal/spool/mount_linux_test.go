package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a file system of 4 MiB, read-only ones too, where the test may mount one.
func TestAFullTmpfs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir)
	config := Config{Dir: filepath.Join(dir, "spool"), MaxBytes: 64 << 20}
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for err = nil; err == nil; {
			_, err = s.Append(records(s.Next(), 200))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Append returned %v", err)
		}
		_, end, lost := readAll(t, s)
		if lost > 0 || end != s.Next() {
			t.Fatalf("%d of %d, %d lost", end, s.Next(), lost)
		}
		if err := s.Finish(end); err != nil {
			t.Fatal(err)
		}
	}
	end := s.Next()
	mustAppend(t, s, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(config); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open of a read-only directory: %v", err)
	}
	t.Attr("figures", fmt.Sprintf("%d records in three fillings", end))
}

func mount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no file system can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}
