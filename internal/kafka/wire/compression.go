package wire

import (
	"fmt"
	"strings"
)

// Compression is the codec of a record batch, with the number that it has on the wire.
type Compression int8

// The codecs of the protocol. The zero value is no compression.
const (
	None   Compression = 0
	Gzip   Compression = 1
	Snappy Compression = 2
	Lz4    Compression = 3
	Zstd   Compression = 4
)

var compressionNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", Lz4: "lz4", Zstd: "zstd"}

// ParseCompression returns the codec that Kafka's property compression.type calls name. The empty
// name is None.
func ParseCompression(name string) (Compression, error) {
	if name == "" {
		return None, nil
	}
	for c, n := range compressionNames {
		if n == name {
			return Compression(c), nil
		}
	}
	return None, fmt.Errorf("wire: unknown compression %q: use one of %s", name, strings.Join(compressionNames[:], ", "))
}

// String returns the codec's name as ParseCompression takes it.
func (c Compression) String() string {
	if c.known() {
		return compressionNames[c]
	}
	return fmt.Sprintf("compression(%d)", int8(c))
}

func (c Compression) known() bool { return c >= 0 && int(c) < len(compressionNames) }
