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

// Spool keeps on disk what the queue has no room for while Kafka is away, and delivers it later, in order. When the
// queue is half full, its records are moved to files in the directory, of at most so many bytes together (at least 1
// MiB). While some are there, new records follow them. What is left when the handler is closed is written too, and
// the next handler that has the directory delivers it; Stats.Recovered counts that.
//
// No log call waits for the disk. Records are dropped, as with [DropNewest], when the queue and the disk are full,
// and when they come faster than the disk takes them and the queue is full: a burst needs room in the queue.
//
// The directory has one owner. A second handler, of this process or another, works without it, and so does a handler
// whose directory cannot be used; see [Handler.Err]. The directory has mode 0700, the files 0600. Records are not
// encrypted.
//
// What was written survives the end of the process, and after the next sync ([SpoolSync]) that of the system. A
// record may then be delivered twice, with the same bus.IDHeader. A damaged file costs the records from the damage to
// its end, a sixteenth of the spool at most; they are counted as [DroppedDamaged].
//
// With [OverflowFrom] only records of some levels are spooled. They keep their order among themselves, and records of
// other levels overtake them while they are on disk. All policies of a handler name the same directory.
func Spool(dir string, bytes int64) Policy { return spooling{dir, bytes} }

// minSpool is the smallest bound of a spool.
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

// withoutSpool has the levels that were to be spooled drop what finds no room.
func (o *options) withoutSpool() {
	for i, p := range o.policies {
		if _, ok := p.policy.(spooling); ok {
			o.policies[i].policy = DropNewest
		}
	}
}

// check returns what is wrong with the policy, beside those of other levels.
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
