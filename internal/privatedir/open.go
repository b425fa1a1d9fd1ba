package privatedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens a directory in which nobody but this user can write, and makes it with mode 0700 if it is missing.
//
// Where dir belongs to root or can be written by others, it is a directory in it instead, whose name is the given one
// and the user's id: Kubernetes mounts an emptyDir as root's with mode 0777, and a volume with fsGroup as root's and
// writable by a group. Above the directory there may be one that others can write, too. Who can write it may move the
// directory away, so that the next Open makes an empty one, and cannot do more: below it nothing is opened that is a
// link, or belongs to another user, and what is done through the Root is done in the directory that was checked.
func Open(dir, name string) (*os.Root, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	err = checkAbove(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return nil, err
		}
		err = checkAbove(dir) // in /tmp another user may have made first what was missing
	}
	if err == nil {
		return openTrusted(dir, fmt.Sprintf("%s-%d", name, self()))
	}
	if shared, ok := errors.AsType[*sharedError](err); ok {
		return openBelow(shared.dir, shared.rest)
	}
	return nil, err
}

// openTrusted opens a directory that nobody else can replace, or one of the given name in it.
func openTrusted(dir, name string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if err := Check(info); err == nil {
		return os.OpenRoot(dir)
	} else if info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s %w: remove it, or name another", dir, err)
	}
	if err := checkOwner(dir, info); err != nil {
		return nil, err
	}
	return openBelow(dir, []string{name})
}

// openBelow opens the last of several directories, each in the one before it and the first one in shared, which others
// can write.
func openBelow(shared string, names []string) (*os.Root, error) {
	root, err := os.OpenRoot(shared)
	for _, name := range names {
		if err != nil {
			return nil, err
		}
		above := root
		root, err = enter(above, name)
		_ = above.Close()
	}
	return root, err
}

// enter opens a directory of this user's in another one, and makes it if it is missing.
func enter(above *os.Root, name string) (*os.Root, error) {
	if err := above.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	listed, err := above.Lstat(name)
	if err != nil {
		return nil, err
	}
	root, err := above.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	switch {
	case err != nil:
	case listed.Mode()&fs.ModeSymlink != 0 || !os.SameFile(listed, opened):
		err = fmt.Errorf("%s is a link: remove it, or name another directory", root.Name())
	default:
		err = makePrivate(root, opened)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// makePrivate checks that a directory is this user's, and takes the rights on it from its group. Kubernetes gives them
// to the group of fsGroup, on everything in a volume, each time it mounts one; nobody but the owner and root can.
func makePrivate(root *os.Root, info fs.FileInfo) error {
	if owner := owner(info); owner != self() {
		return fmt.Errorf("%s belongs to another user (%d), not to you (%d): remove it, or name another directory",
			root.Name(), owner, self())
	}
	if otherRights(info) == 0 {
		return nil
	}
	if err := root.Chmod(".", 0o700); err != nil {
		return fmt.Errorf("taking the rights of others away: %w", err)
	}
	return nil
}
