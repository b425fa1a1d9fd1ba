// Package bench holds the benchmarks that put the library beside its peers, in one run on one broker. It is a module of
// its own, so that nobody who uses the library inherits the peers.
package bench
