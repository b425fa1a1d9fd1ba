//go:build !unix

package privatedir

import "io/fs"

func owner(fs.FileInfo) int { return 0 }

func self() int { return 0 }

func writableByOthers(fs.FileInfo) bool { return false }

func otherRights(fs.FileInfo) fs.FileMode { return 0 }
