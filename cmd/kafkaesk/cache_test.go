//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// Nobody else has a hand in what is started: the cache's directories are this user's alone.
func TestTheCacheIsThisUsersAlone(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg")})
	tests := []struct {
		name    string
		prepare func(t *testing.T, home string)
		want    string // part of the error
	}{
		{name: "all can write the directory that holds it", want: "home can be written by others",
			prepare: func(t *testing.T, home string) { chmod(t, home, 0o777) }},
		{name: "all can write kafkaesk", want: "kafkaesk can be written by others",
			prepare: func(t *testing.T, home string) { chmod(t, filepath.Join(home, "kafkaesk"), 0o777) }},
		{name: "all can write workers", want: "workers can be written by others",
			prepare: func(t *testing.T, home string) { chmod(t, filepath.Join(home, "kafkaesk", "workers"), 0o777) }},
		{name: "workers is another user's", want: "workers belongs to another user (65534)",
			prepare: func(t *testing.T, home string) { giveAway(t, filepath.Join(home, "kafkaesk", "workers")) }},
		{name: "kafkaesk is a link", want: "kafkaesk is a link", prepare: func(t *testing.T, home string) {
			if err := errors.Join(os.Remove(filepath.Join(home, "kafkaesk", "workers")),
				os.Remove(filepath.Join(home, "kafkaesk")),
				os.Symlink(t.TempDir(), filepath.Join(home, "kafkaesk"))); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home := filepath.Join(t.TempDir(), "home")
			if err := os.MkdirAll(filepath.Join(home, "kafkaesk", "workers"), 0o700); err != nil {
				t.Fatal(err)
			}
			tt.prepare(t, home)
			got := kafkaesk(t, dir, []string{"XDG_CACHE_HOME=" + home}, "./pkg")
			if got.code != cli.Failed || got.stdout != "" || !strings.Contains(got.stderr, tt.want) ||
				!strings.Contains(got.stderr, "XDG_CACHE_HOME") {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
}

// What others have put into an entry, when they could, goes: a program with the right build id would be started as it
// is, and the files that are written would be written through a link.
func TestWhatOthersPutIntoTheCacheIsRemoved(t *testing.T) {
	t.Parallel()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, entry string)
	}{
		{name: "a program of another user's", prepare: func(t *testing.T, entry string) {
			giveAway(t, filepath.Join(entry, "pkg"))
		}},
		{name: "a program that all can write", prepare: func(t *testing.T, entry string) {
			chmod(t, filepath.Join(entry, "pkg"), 0o777)
		}},
		{name: "a link in place of main.go", prepare: func(t *testing.T, entry string) {
			replaceByLink(t, victim, filepath.Join(entry, "main.go"))
		}},
		{name: "a link in place of the entry", prepare: func(t *testing.T, entry string) {
			replaceByLink(t, filepath.Dir(victim), entry)
		}},
		{name: "an entry that all can write", prepare: func(t *testing.T, entry string) { chmod(t, entry, 0o777) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := cache{filepath.Join(t.TempDir(), "kafkaesk", "workers")}
			e, err := c.open(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			files{"pkg": "planted", "main.go": ""}.write(t, e.dir)
			if err := e.close(); err != nil {
				t.Fatal(err)
			}
			tt.prepare(t, e.dir)
			again, err := c.open(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(again.dir); again.dir != e.dir || err != nil || len(left) > 0 {
				t.Errorf("%v is left in %s: %v", left, again.dir, err)
			}
			if info, err := os.Lstat(again.dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
				t.Errorf("the entry is %v: %v", info, err)
			}
			if err := again.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "kept" {
		t.Errorf("the file that the link names has %q: %v", text, err)
	}
}

// A umask that lets others write does not have each start build the program anew.
func TestTheProgramIsPrivateWhateverTheUmask(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{"pkg/a.go": app("pkg", "pkg")})
	shell := command(t, dir, nil)
	shell.Path, shell.Args = "/bin/sh", []string{"sh", "-c", `umask 0; exec "$0" ./pkg`, os.Getenv(programEnv)}
	if got := wait(t, shell); got.code != cli.OK {
		t.Fatalf("%+v", got)
	}
	programs, err := filepath.Glob(filepath.Join(cacheOf(dir), "kafkaesk", "workers", "*", "*"))
	if err != nil || len(programs) != 3 {
		t.Fatalf("the cache has %q: %v", programs, err)
	}
	for _, name := range programs {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: %v", name, info.Mode(), err)
		}
	}
}

func TestTheDataDirectoryIsThisUsersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, open := filepath.Join(dir, "link"), filepath.Join(dir, "open")
	if err := errors.Join(os.Symlink(t.TempDir(), link), os.Mkdir(open, 0o700)); err != nil {
		t.Fatal(err)
	}
	chmod(t, open, 0o777)
	for data, want := range map[string]string{open: "open can be written by others", link: "link is a link",
		filepath.Join(open, "data"): "open can be written by others"} {
		var stdout, stderr strings.Builder
		code := Run(t.Context(), []string{"broker", "--addr", "127.0.0.1:0", "--data-dir", data},
			Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
		if code != cli.Failed || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %q; want %q", data, code, &stderr, want)
		}
	}
	if left, err := os.ReadDir(open); err != nil || len(left) > 0 {
		t.Errorf("%v was made: %v", left, err)
	}
}

func chmod(t *testing.T, name string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func giveAway(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	if err := os.Chown(name, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}

func replaceByLink(t *testing.T, to, name string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(name), os.Symlink(to, name)); err != nil {
		t.Fatal(err)
	}
}
