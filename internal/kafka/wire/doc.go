// Package wire turns records into Kafka's bytes and back. It holds the v2 record batch (building and
// reading it), and those protocol messages that kafka-go encodes well but routes, decodes or bounds
// badly. It knows no network policy: no retries, no deadlines, no goroutines.
//
// Everything that a broker sends is checked before it is believed: each count and each length is
// compared with the bytes that are there before anything is allocated for it, checksums are verified
// and decompression stops at a limit.
package wire
