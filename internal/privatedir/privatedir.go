// Package privatedir creates directories whose files only this user can replace: for programs that will be run, and
// data that will be trusted. On systems without Unix permissions it refuses symbolic links only.
package privatedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Make creates the directory with mode 0700 unless it exists. It refuses a directory that is a link, belongs to
// another user or is writable by others, and one below a directory in which another user could replace it. Parent
// directories may belong to root, and may be writable by all if they are sticky, as /tmp is. The error states what to
// change.
func Make(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// Make checks an existing path first, so that it creates nothing behind another user's link.
	if err := check(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return check(dir)
}

// check checks an absolute path and its parents.
func check(dir string) error {
	if err := checkAbove(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if err := Check(info); err != nil {
		return fmt.Errorf("%s %w: remove it, or name another", dir, err)
	}
	return nil
}

// Check reports why a file or directory is not private to this user: it is a link, belongs to another user, or is
// writable by others. The error completes a sentence that begins with the name.
func Check(info fs.FileInfo) error {
	switch owner := owner(info); {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("is a link")
	case owner != self():
		return fmt.Errorf("belongs to another user (%d), not to you (%d)", owner, self())
	case writableByOthers(info):
		return fmt.Errorf("can be written by others (mode %v)", info.Mode())
	}
	return nil
}

// sharedError is the error for a directory in which another user can replace files.
type sharedError struct {
	dir  string   // it and its parents belong to this user or root
	rest []string // the elements of the path below it
}

func (e *sharedError) Error() string {
	return fmt.Sprintf("%s can be written by others, who can replace what is in it: change that (chmod go-w), or name "+
		"a directory elsewhere", e.dir)
}

// mostLinks is how many links a path may lead over: as many as Linux follows.
const mostLinks = 40

// checkAbove checks the directories above the last element of an absolute path, and what their links lead to.
func checkAbove(path string) error {
	dir := path
	for range mostLinks {
		next, err := checkToLink(dir)
		if err != nil || next == "" {
			return err
		}
		dir = next
	}
	return fmt.Errorf("%s leads over more than %d links, or they form a loop: name another directory", path, mostLinks)
}

// checkToLink checks the directories above the last element of an absolute path, up to the first that is a link, and
// returns the path with what that one leads to in its place; "" when none of them is a link.
func checkToLink(path string) (next string, err error) {
	volume := filepath.VolumeName(path)
	above, elements := volume+string(filepath.Separator),
		strings.Split(strings.Trim(path[len(volume):], string(filepath.Separator)),
			string(filepath.Separator))
	for i, element := range elements {
		info, err := os.Lstat(above)
		if err != nil {
			return "", err
		}
		if err := checkOwner(above, info); err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(above)
			if err != nil {
				return "", err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(above), target)
			}
			return filepath.Join(append([]string{target}, elements[i:]...)...), nil
		}
		if writableByOthers(info) && info.Mode()&fs.ModeSticky == 0 {
			return "", &sharedError{above, elements[i:]}
		}
		above = filepath.Join(above, element)
	}
	return "", nil
}

// checkOwner returns an error for a directory that belongs to neither this user nor root.
func checkOwner(dir string, info fs.FileInfo) error {
	owner := owner(info)
	if owner == self() || owner == 0 || ownsRoot(owner, filepath.VolumeName(dir)+string(filepath.Separator)) {
		return nil
	}
	return fmt.Errorf("%s belongs to another user (%d), who can replace what is in it: name a directory elsewhere",
		dir, owner)
}

// ownsRoot reports whether the user owns the root of the file system. In a user namespace that is not user 0.
func ownsRoot(user int, root string) bool {
	info, err := os.Lstat(root)
	return err == nil && owner(info) == user
}
