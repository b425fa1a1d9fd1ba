package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
)

func TestOneHolderAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Try(path); !errors.Is(err, filelock.ErrLocked) {
		t.Fatalf("second Try = %v, want ErrLocked", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := filelock.Wait(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait for a held lock = %v, want the context's end", err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	second, err := filelock.Wait(t.Context(), path)
	if err != nil {
		t.Fatalf("Wait for a free lock: %v", err)
	}
	if err := second.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryThatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := filelock.Try(filepath.Join(t.TempDir(), "missing", "lock"))
	if err == nil || errors.Is(err, filelock.ErrLocked) {
		t.Fatalf("Try = %v, want an error that is not ErrLocked", err)
	}
}

func TestALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "lock")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip("there are no links here:", err)
	}
	if _, err := filelock.Try(link); err == nil || errors.Is(err, filelock.ErrLocked) {
		t.Errorf("Try = %v, want an error that is not ErrLocked", err)
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that the link names was made: %v", err)
	}
}
