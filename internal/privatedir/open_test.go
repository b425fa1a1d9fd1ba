//go:build unix

package privatedir_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/privatedir"
)

const groupShared = 0o770 | fs.ModeSetgid // what Kubernetes makes of a directory in a volume with fsGroup

// A directory that is opened is this user's alone, whatever is around it.
func TestOpen(t *testing.T) {
	t.Parallel()
	own := fmt.Sprintf("files-%d", os.Geteuid())
	tests := []struct {
		name    string
		prepare func(t *testing.T, base string) string // returns the directory to open
		in      string                                 // the directory in it that is opened
		mode    fs.FileMode                            // of that; 0: 0700
		want    string                                 // part of the error; "" for none
	}{
		{name: "it is missing", prepare: func(_ *testing.T, base string) string { return filepath.Join(base, "a", "b") }},
		{name: "it is there", mode: 0o755, prepare: func(t *testing.T, base string) string {
			return mkdir(t, filepath.Join(base, "a"), 0o755)
		}},
		{name: "others can write it", in: own, prepare: func(t *testing.T, base string) string {
			return mkdir(t, filepath.Join(base, "a"), 0o777)
		}},
		{name: "its group can write it", in: own, prepare: func(t *testing.T, base string) string {
			return mkdir(t, filepath.Join(base, "a"), groupShared)
		}},
		{name: "others can write it, and the group could write what is in it", in: own,
			prepare: func(t *testing.T, base string) string {
				dir := mkdir(t, filepath.Join(base, "a"), groupShared)
				mkdir(t, filepath.Join(dir, own), groupShared)
				return dir
			}},
		{name: "others can write the one above it", prepare: func(t *testing.T, base string) string {
			return filepath.Join(mkdir(t, filepath.Join(base, "a"), 0o777), "b", "c")
		}},
		{name: "others can write the one above it, and the group could write it",
			prepare: func(t *testing.T, base string) string {
				return mkdir(t, filepath.Join(mkdir(t, filepath.Join(base, "a"), groupShared), "b"), groupShared)
			}},
		{name: "a link", want: "is a link", prepare: func(t *testing.T, base string) string {
			return link(t, mkdir(t, filepath.Join(base, "a"), 0o700), filepath.Join(base, "link"))
		}},
		{name: "a link where others can write", want: "is a link", prepare: func(t *testing.T, base string) string {
			dir := mkdir(t, filepath.Join(base, "a"), 0o777)
			mkdir(t, filepath.Join(dir, "b"), 0o700)
			return link(t, "b", filepath.Join(dir, "link"))
		}},
		{name: "a link is where its directory should be", want: "is a link", prepare: func(t *testing.T, base string) string {
			dir := mkdir(t, filepath.Join(base, "a"), 0o777)
			mkdir(t, filepath.Join(dir, "b"), 0o700)
			link(t, "b", filepath.Join(dir, own))
			return dir
		}},
		{name: "a link that leads out of where others can write", want: "link",
			prepare: func(t *testing.T, base string) string {
				dir := mkdir(t, filepath.Join(base, "a"), 0o777)
				return filepath.Join(link(t, mkdir(t, filepath.Join(base, "b"), 0o700), filepath.Join(dir, "link")), "c")
			}},
		{name: "below links that form a loop", want: "form a loop", prepare: func(t *testing.T, base string) string {
			link(t, "b", filepath.Join(base, "a"))
			return filepath.Join(link(t, filepath.Join(base, "a"), filepath.Join(base, "b")), "c")
		}},
		{name: "another user's", want: "a belongs to another user (65534)", prepare: func(t *testing.T, base string) string {
			return chown(t, mkdir(t, filepath.Join(base, "a"), 0o777))
		}},
		{name: "another user's, where others can write", want: "b belongs to another user (65534)",
			prepare: func(t *testing.T, base string) string {
				return chown(t, mkdir(t, filepath.Join(mkdir(t, filepath.Join(base, "a"), 0o777), "b"), 0o700))
			}},
		{name: "another user has made its directory", want: own + " belongs to another user (65534)",
			prepare: func(t *testing.T, base string) string {
				dir := mkdir(t, filepath.Join(base, "a"), 0o777)
				chown(t, mkdir(t, filepath.Join(dir, own), 0o700))
				return dir
			}},
		{name: "a file", want: "not a directory", prepare: func(t *testing.T, base string) string {
			name := filepath.Join(base, "file")
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.prepare(t, t.TempDir())
			root, err := privatedir.Open(dir, "files")
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Open(%s) = %v, want %q", dir, err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = root.Close() }()
			if err := root.WriteFile("file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(filepath.Join(dir, tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if mode := cmp.Or(tt.mode, 0o700); info.Mode().Perm() != mode {
				t.Errorf("the mode is %v, want %v", info.Mode(), mode)
			}
			if _, err := os.Lstat(filepath.Join(dir, tt.in, "file")); err != nil {
				t.Errorf("the file is elsewhere: %v", err)
			}
		})
	}
}

// What another user makes in /tmp while a directory is opened there, in place of one that was missing, is not opened.
func TestOpenWhileAnotherUserMakesADirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory of another user")
	}
	base := t.TempDir()
	others := chown(t, mkdir(t, filepath.Join(base, "others"), 0o755))
	for i := range 500 {
		missing := filepath.Join(base, fmt.Sprint(i))
		start, made := make(chan struct{}), make(chan error)
		go func() {
			<-start
			for range i % 50 {
				runtime.Gosched()
			}
			made <- os.Symlink(others, missing)
		}()
		close(start)
		root, err := privatedir.Open(filepath.Join(missing, "spool"), "files")
		if err == nil {
			_ = root.Close()
		}
		if <-made == nil && err == nil {
			t.Fatalf("opened what another user has made, at try %d", i)
		}
	}
}

// A user who is not root can use a volume of root's, as Kubernetes mounts it, and gets what he had when he opens it
// again.
func TestOpenAVolumeOfRoots(t *testing.T) {
	const variable = "KAFKAESK_TEST_VOLUME"
	if dir := os.Getenv(variable); dir != "" {
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
		root, err := privatedir.Open(dir, "files")
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Mkdir("made", 0o700); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	base := t.TempDir()
	if err := os.Chmod(filepath.Dir(base), 0o755); err != nil { // which other users may not enter otherwise
		t.Fatal(err)
	}
	emptyDir, withGroup := mkdir(t, filepath.Join(base, "a"), 0o777),
		mkdir(t, filepath.Join(base, "b"), 0o777|fs.ModeSetgid)
	roots := mkdir(t, filepath.Join(base, "c"), 0o755)
	for dir, made := range map[string]string{
		emptyDir:                         filepath.Join(emptyDir, "files-65534", "made"),
		withGroup:                        filepath.Join(withGroup, "files-65534", "made"),
		filepath.Join(emptyDir, "spool"): filepath.Join(emptyDir, "spool", "made"),
		roots:                            "",
	} {
		for range 2 {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenAVolumeOfRoots$")
			cmd.Env = append(os.Environ(), variable+"="+dir)
			out, err := cmd.CombinedOutput()
			if (err != nil) != (made == "") || err != nil && !strings.Contains(string(out), "permission denied") {
				t.Fatalf("%s: %v: %s", dir, err, out)
			}
		}
		if _, err := os.Lstat(made); made != "" && err != nil {
			t.Error(err)
		}
	}
}
