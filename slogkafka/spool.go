package slogkafka

import (
	"fmt"
	"time"
)

// spooling is the policy of Spool.
type spooling struct {
	dir   string
	bytes int64
}

func (spooling) policy() {}

// Spool stores records on disk while Kafka is unreachable and the queue is filling up, and delivers them later, in
// order. When the queue is half full, records move to files in the directory, of at most bytes together (at least 1
// MiB). While the files contain records, new records follow them. Close also writes the remaining records, and the
// next handler with the directory delivers them; Stats.Recovered counts these.
//
// No log call waits for the disk. Records are dropped, as with [DropNewest], when the queue and the disk are full,
// and when records arrive faster than the disk accepts them and the queue is full: [QueueSize] bounds such a burst.
//
// One handler can use the directory: a second one, in this process or another, works without a spool, and so does
// one whose directory is not usable; see [Handler.Err]. The directory is created with mode 0700, files in it with
// 0600: records are stored in the clear. If it belongs to root or is writable by others, as volumes in Kubernetes
// do, the files are in its subdirectory kafkaesk-spool-UID, which is private to this user. Who can write the outer
// directory can then not read or change records, but can move them away. On Solaris and AIX a second handler of the
// same process is not detected.
//
// Written records survive the end of the process for whatever reason, and after the next sync ([SpoolSync]) the end
// of the system. After that a record may be delivered twice, with the same bus.IDHeader. A damaged file loses the
// records from the damage to its end, at most a sixteenth of the spool: they are counted as [DroppedDamaged].
//
// With [OverflowFrom] only records of some levels are spooled. They stay in order; records of other levels overtake
// them while they are on disk. All policies of a handler must name the same directory.
func Spool(dir string, bytes int64) Policy { return spooling{dir, bytes} }

// minSpool is the minimum bound of a spool.
const minSpool = 1 << 20

// SpoolSync sets how often the files of [Spool] are synced to the disk: 0 means with each batch that is written, a
// negative time never. Defaults to 500ms. A power failure loses what was not synced.
func SpoolSync(every time.Duration) KafkaOption { return func(o *options) { o.spoolSync = every } }

// spoolOf returns the policy of Spool, if there is one.
func spoolOf(policies []levelPolicy) (spooling, bool) {
	for _, p := range policies {
		if s, ok := p.policy.(spooling); ok {
			return s, true
		}
	}
	return spooling{}, false
}

// withoutSpool changes the policy of Spool to DropNewest.
func (o *options) withoutSpool() {
	for i, p := range o.policies {
		if _, ok := p.policy.(spooling); ok {
			o.policies[i].policy = DropNewest
		}
	}
}

// check returns the error of the policy, given those of the other levels.
func (p spooling) check(others []levelPolicy) error {
	other, ok := spoolOf(others)
	switch {
	case p.dir == "" || p.bytes < minSpool:
		return fmt.Errorf("spool %q of %d bytes: it needs a directory, and at least %d bytes", p.dir, p.bytes, minSpool)
	case ok && other != p:
		return fmt.Errorf("spool %q of %d bytes: another level has %q of %d: a handler has one",
			p.dir, p.bytes, other.dir, other.bytes)
	}
	return nil
}
