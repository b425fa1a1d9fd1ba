//go:build unix

package privatedir

import (
	"io/fs"
	"os"
	"syscall"
)

// owner returns the user id of a file's owner.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

func self() int { return os.Geteuid() }

// writableByOthers ignores symbolic links, whose mode has no meaning.
func writableByOthers(info fs.FileInfo) bool {
	return info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o022 != 0
}

// otherRights returns the permissions of all but the owner.
func otherRights(info fs.FileInfo) fs.FileMode { return info.Mode().Perm() & 0o077 }
