package logrecord

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// A record is written sequentially, and is correct unless a key occurs twice. For that case the builder stores the
// members of each object: their positions in the buffer, and which of them are replaced. A record with a repeated key
// is then rewritten from these members, once, when all are known.

// member is one key of an object: buf[key:val-1] is the quoted key, buf[val:end] the value. At end follows a comma,
// or the brace of the object. Positions are relative to where the text of With begins in the buffer, so that the
// members of With are valid for any record.
type member struct {
	sign          uint32 // sign of its key: equal keys have equal signs
	hash          uint32 // hash of its key in its object; only with slots
	key, val, end int32
	parent        int32 // the object it belongs to
	next          int32 // the next member of that object; 0: none, as no member comes before the first
	object        int32 // the object of a group's members; 0: the value is not a group
	replaced      bool
	open          bool // the group is being written: its key cannot be reused meanwhile
}

// object is one object of the record. Groups with the same name in one object are one object.
type object struct {
	first, last int32 // members; valid when count is not 0
	count       int32
}

// layout describes a record's members. objects[0] is the record itself.
type layout struct {
	members []member
	objects []object
	// slots finds a member by its key: a hash table with open addressing, whose entries are indexes in members plus
	// 1. It is empty while there are few members, which are searched linearly.
	slots []int32
	seen  uint64 // one bit for each sign of a key: a key whose bit is clear is new
}

// few is the number of members from which on the slots are used.
const few = 24

func (t *layout) copyFrom(o *layout) {
	t.members = append(t.members[:0], o.members...)
	t.objects = append(t.objects[:0], o.objects...)
	t.slots = append(t.slots[:0], o.slots...)
	t.seen = o.seen
}

// signOf returns the sign of a quoted key.
func signOf(key []byte) uint32 {
	n := len(key)
	return uint32(n)<<24 ^ uint32(key[1])<<16 ^ uint32(key[n/2])<<8 ^ uint32(key[n-2])
}

// bit returns the bit of a sign in layout.seen.
func bit(sign uint32) uint64 { return 1 << (sign * 0x9E3779B1 >> 26) }

// hashOf returns the hash of a key in an object. Its seed is random, so that an attacker cannot choose colliding
// keys.
func (b *builder) hashOf(key []byte, parent int32) uint32 {
	return uint32(maphash.Bytes(b.seed, key)) ^ uint32(parent)*0x9E3779B1
}

func (b *builder) keyOf(m *member) []byte { return b.buf[b.shift+int(m.key) : b.shift+int(m.val)-1] }

// find returns the innermost object's member with this key, or -1.
func (b *builder) find(sign uint32, key []byte) int32 {
	if b.seen&bit(sign) == 0 {
		return -1
	}
	if len(b.slots) > 0 {
		return b.slots[b.slot(b.hashOf(key, b.at), b.at, key)] - 1
	}
	for i := range b.members {
		m := &b.members[i]
		if m.sign == sign && !m.replaced && m.parent == b.at && bytes.Equal(b.keyOf(m), key) {
			return int32(i)
		}
	}
	return -1
}

// slot returns the entry of the table for a key, existing or new.
func (b *builder) slot(hash uint32, parent int32, key []byte) uint32 {
	mask := uint32(len(b.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := b.slots[i]
		if at == 0 {
			return i
		}
		if m := &b.members[at-1]; m.hash == hash && m.parent == parent && bytes.Equal(b.keyOf(m), key) {
			return i
		}
	}
}

// remember makes find return the member at i for its key.
func (b *builder) remember(i int32) {
	m := &b.members[i]
	b.seen |= bit(m.sign)
	n := len(b.slots)
	if n == 0 && len(b.members) <= few {
		return
	}
	if n > 0 {
		m.hash = b.hashOf(b.keyOf(m), m.parent)
		if 2*len(b.members) <= n {
			b.slots[b.slot(m.hash, m.parent, b.keyOf(m))] = i + 1
			return
		}
	}
	b.slots = append(b.slots[:0], make([]int32, max(64, 2*n))...)
	for j := range b.members {
		other := &b.members[j]
		if n == 0 {
			other.hash = b.hashOf(b.keyOf(other), other.parent)
		}
		if !other.replaced && !other.open {
			b.slots[b.slot(other.hash, other.parent, b.keyOf(other))] = int32(j) + 1
		}
	}
}

// link adds a member to the innermost object, without remembering it.
func (b *builder) link(m member) int32 {
	i, o := int32(len(b.members)), &b.objects[b.at]
	if o.count == 0 {
		o.first = i
	} else {
		b.members[o.last].next = i
	}
	o.last = i
	o.count++
	m.parent = b.at
	b.members = append(b.members, m)
	return i
}

// enter makes a part of the buffer, from its key to the comma at end, a member of the innermost object. It replaces a
// member with the same key, unless its value is null or it yields to that member. It returns false when it is not a
// member, so that the caller must remove it from the buffer.
func (b *builder) enter(key, val, end int) bool {
	if b.deferred {
		if b.addKey(key, val-1) {
			return true
		}
		b.enterPending(key)
	}
	name := b.buf[key : val-1]
	sign := signOf(name)
	if known := b.find(sign, name); known >= 0 {
		if rawjson.IsNull(b.buf[val:end]) || b.yields && !b.isNull(known) {
			return false
		}
		b.members[known].replaced, b.rewrite = true, true
	}
	b.remember(b.link(member{sign: sign, key: int32(key - b.shift), val: int32(val - b.shift), end: int32(end - b.shift)}))
	return true
}

func (b *builder) isNull(i int32) bool {
	m := &b.members[i]
	return m.object == 0 && rawjson.IsNull(b.buf[b.shift+int(m.val):b.shift+int(m.end)])
}

// openGroup is a group that is being written.
type openGroup struct {
	start    int    // position of its key in the buffer
	member   int32  // its index in members
	known    int32  // the parent's previous member with its key, or -1
	parent   int32  // the object around it
	siblings object // the parent's members before the group
	count    int32  // number of the group's members before
	fresh    bool   // the object was created for this group
	own      own    // the own field of a model's group
	isOwn    bool
}

// open begins a group in the innermost object: everything until close is written into it. An existing group with the
// name continues. It returns false when the group would have to yield.
func (b *builder) open(name string, model bool) bool {
	b.enterPending(len(b.buf))
	g := openGroup{start: len(b.buf), parent: b.at, siblings: b.objects[b.at]}
	g.own, g.isOwn = b.startKey(name, model)
	key := b.buf[g.start : len(b.buf)-1]
	sign := signOf(key)
	inner := int32(0)
	if g.known = b.find(sign, key); g.known >= 0 {
		if inner = b.members[g.known].object; inner == 0 && b.yields && !b.isNull(g.known) {
			b.buf = b.buf[:g.start]
			return false
		}
	}
	if g.fresh = inner == 0; g.fresh {
		inner = int32(len(b.objects))
		b.objects = append(b.objects, object{})
	}
	g.count = b.objects[inner].count
	at := int32(len(b.buf) - b.shift)
	g.member = b.link(member{sign: sign, key: int32(g.start - b.shift), val: at, end: at, object: inner, open: true})
	b.buf = append(b.buf, '{')
	b.groups = append(b.groups, g)
	b.path = append(b.path, name)
	b.at = inner
	return true
}

// close ends the innermost group. An empty group is not a member.
func (b *builder) close() {
	g := b.groups[len(b.groups)-1]
	b.groups = b.groups[:len(b.groups)-1]
	b.path = b.path[:len(b.path)-1]
	filled := b.objects[b.at].count > g.count
	inner := b.at
	b.at = g.parent
	if !filled {
		b.buf, b.members, b.objects[g.parent] = b.buf[:g.start], b.members[:g.member], g.siblings
		if g.siblings.count > 0 {
			b.members[g.siblings.last].next = 0
		}
		if g.fresh {
			b.objects = b.objects[:inner]
		}
		return
	}
	b.buf = append(closeWith(b.buf, '}'), ',')
	b.members[g.member].end = int32(len(b.buf) - 1 - b.shift)
	b.keep(&g)
}

// keep makes a group that has content the value of its key.
func (b *builder) keep(g *openGroup) {
	b.members[g.member].open = false
	if g.isOwn {
		b.models |= 1 << g.own
	}
	if g.known >= 0 {
		b.members[g.known].replaced, b.rewrite = true, true
	}
	b.remember(g.member)
}

// appendObject appends the members of an object that are not replaced, each with its comma.
func (b *builder) appendObject(dst []byte, id int32) []byte {
	o := b.objects[id]
	if o.count == 0 {
		return dst
	}
	for i := o.first; ; {
		m := &b.members[i]
		switch {
		case m.replaced:
		case m.object != 0:
			dst = append(append(dst, b.buf[b.shift+int(m.key):b.shift+int(m.val)]...), '{')
			dst = append(closeWith(b.appendObject(dst, m.object), '}'), ',')
		default:
			dst = append(append(dst, b.buf[b.shift+int(m.key):b.shift+int(m.end)]...), ',')
		}
		if i = m.next; i == 0 {
			return dst
		}
	}
}

// copyObject copies the members of an object that are not replaced into the innermost object of another builder. The
// groups in open are the last ones and stay open: it returns their objects there.
func (b *builder) copyObject(to *builder, id int32, open []int32) (opened []int32) {
	o := b.objects[id]
	for i := o.first; o.count > 0; {
		m := &b.members[i]
		if !m.replaced {
			opened = append(opened, b.copyMember(to, m, open)...)
		}
		if i = m.next; i == 0 {
			break
		}
	}
	return opened
}

func (b *builder) copyMember(to *builder, m *member, open []int32) (opened []int32) {
	c := member{sign: m.sign, key: int32(len(to.buf) - to.shift)}
	to.buf = append(to.buf, b.buf[b.shift+int(m.key):b.shift+int(m.val)]...)
	c.val = int32(len(to.buf) - to.shift)
	if m.object == 0 {
		to.buf = append(append(to.buf, b.buf[b.shift+int(m.val):b.shift+int(m.end)]...), ',')
		c.end = int32(len(to.buf) - 1 - to.shift)
		to.remember(to.link(c))
		return nil
	}
	c.object = int32(len(to.objects))
	to.objects = append(to.objects, object{})
	at := to.link(c)
	to.remember(at)
	outer := to.at
	to.at = c.object
	to.buf = append(to.buf, '{')
	if slices.Contains(open, m.object) {
		opened = append(opened, c.object)
	}
	opened = append(opened, b.copyObject(to, m.object, open)...)
	if len(opened) == 0 {
		to.buf = append(closeWith(to.buf, '}'), ',')
	}
	to.members[at].end = int32(len(to.buf) - 1 - to.shift)
	to.at = outer
	return opened
}
