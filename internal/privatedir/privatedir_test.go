//go:build unix

package privatedir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/privatedir"
)

func TestMake(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, base string) string // returns the directory to make
		want    string                                 // part of the error; "" for none
	}{
		{name: "all of it is made", prepare: func(_ *testing.T, base string) string { return filepath.Join(base, "a", "b") }},
		{name: "it is there", prepare: func(t *testing.T, base string) string {
			return mkdir(t, filepath.Join(base, "a"), 0o755)
		}},
		{name: "others can write it", want: "can be written by others (mode drwxrwxrwx): remove it",
			prepare: func(t *testing.T, base string) string { return mkdir(t, filepath.Join(base, "a"), 0o777) }},
		{name: "its group can write it", want: "can be written by others",
			prepare: func(t *testing.T, base string) string { return mkdir(t, filepath.Join(base, "a"), 0o770) }},
		{name: "others can write it, and it is sticky", want: "can be written by others",
			prepare: func(t *testing.T, base string) string { return mkdir(t, filepath.Join(base, "a"), 0o777|fs.ModeSticky) }},
		{name: "others can write the one above it", want: "a can be written by others, who can replace what is in it",
			prepare: func(t *testing.T, base string) string {
				return filepath.Join(mkdir(t, filepath.Join(base, "a"), 0o777), "b")
			}},
		{name: "the one above it is sticky", prepare: func(t *testing.T, base string) string {
			return filepath.Join(mkdir(t, filepath.Join(base, "a"), 0o777|fs.ModeSticky), "b")
		}},
		{name: "a link", want: "is a link", prepare: func(t *testing.T, base string) string {
			return link(t, mkdir(t, filepath.Join(base, "a"), 0o700), filepath.Join(base, "link"))
		}},
		{name: "a link that leads nowhere", want: "is a link", prepare: func(t *testing.T, base string) string {
			return link(t, filepath.Join(base, "nowhere"), filepath.Join(base, "link"))
		}},
		{name: "below a link of this user's", prepare: func(t *testing.T, base string) string {
			mkdir(t, filepath.Join(base, "a"), 0o700)
			return filepath.Join(link(t, "a", filepath.Join(base, "link")), "b")
		}},
		{name: "below a link to where others can write", want: "a can be written by others",
			prepare: func(t *testing.T, base string) string {
				return filepath.Join(link(t, mkdir(t, filepath.Join(base, "a"), 0o777), filepath.Join(base, "link")), "b")
			}},
		{name: "another user's", want: "belongs to another user (65534)", prepare: func(t *testing.T, base string) string {
			return chown(t, mkdir(t, filepath.Join(base, "a"), 0o700))
		}},
		{name: "below another user's", want: "a belongs to another user (65534), who can replace what is in it",
			prepare: func(t *testing.T, base string) string {
				return filepath.Join(chown(t, mkdir(t, filepath.Join(base, "a"), 0o700)), "b")
			}},
		{name: "below another user's link", want: "link belongs to another user (65534)",
			prepare: func(t *testing.T, base string) string {
				return filepath.Join(chown(t, link(t, mkdir(t, filepath.Join(base, "a"), 0o700), filepath.Join(base, "link"))), "b")
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.prepare(t, t.TempDir())
			err := privatedir.Make(dir)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Make(%s) = %v, want %q", dir, err, tt.want)
				}
				return
			}
			info, statErr := os.Lstat(dir)
			if err := errors.Join(err, statErr); err != nil {
				t.Fatal(err)
			}
			if err := privatedir.Check(info); err != nil {
				t.Errorf("what was made %v", err)
			}
		})
	}
}

func mkdir(t *testing.T, dir string, mode fs.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func link(t *testing.T, to, name string) string {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// chown gives a file to the user nobody, which only root can do.
func chown(t *testing.T, name string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	if err := os.Lchown(name, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	return name
}
