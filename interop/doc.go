// Package interop has tests alone: services in Go beside services in Python, with the packages that those are made of
// (kafkaesk and aiokafka from PyPI), and beside members of groups that franz-go makes. It is a module of its own, so
// that nobody who uses the library inherits what these tests need.
//
//	go test -C interop ./...
//	KAFKA=apache go test -C interop ./...
//
// The tests need python3 with venv, and PyPI for the first run: the packages are kept in the user's cache directory.
package interop
