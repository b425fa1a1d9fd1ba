package logrecord

import "bytes"

// owner says who put a member into an object, which decides who may replace it.
type owner uint8

const (
	plain owner = iota // an attribute or group
	model              // a field of a log model
	base               // a base field
)

// member is one key of an object under construction: builder.buf[key:val-1] is the quoted key, buf[val:end] the value,
// and a comma follows at end.
type member struct {
	hash          uint32
	owner         owner
	dead          bool // replaced; it is cut out when its object is complete
	key, val, end int
}

// object is one object under construction. Its members are the builder's, from first on.
type object struct {
	first int
	start int    // of its first member in the buffer
	mask  uint64 // one bit for each hash: a clear bit tells that the key is new
	dead  bool   // there is a dead member
	root  bool   // the record itself, where base fields live
}

// scope is an object's beginning, encoded once and for all: the base fields, or what WithAttrs put into a group.
type scope struct {
	name    string // of the group; "" for the record itself
	text    []byte // members, each followed by a comma
	members []member
	mask    uint64
	tooDeep bool // the group lies deeper than a record may; it is a note in its parent
}

func (b *builder) top() *object { return &b.open[len(b.open)-1] }

// begin opens an object at the end of the buffer.
func (b *builder) begin(root bool) {
	b.buf = append(b.buf, '{')
	b.open = append(b.open, object{first: len(b.members), start: len(b.buf), root: root})
}

// end completes the innermost object. It tells whether the object has members.
func (b *builder) end() bool {
	b.compact()
	o := *b.top()
	b.open = b.open[:len(b.open)-1]
	filled := len(b.members) > o.first
	b.members = b.members[:o.first]
	b.buf = closeWith(b.buf, '}')
	return filled
}

// compact cuts the dead members out of the innermost object.
func (b *builder) compact() {
	o := b.top()
	if !o.dead {
		return
	}
	to, live := o.start, b.members[:o.first]
	for _, m := range b.members[o.first:] {
		if m.dead {
			continue
		}
		n := copy(b.buf[to:], b.buf[m.key:m.end+1])
		by := m.key - to
		m.key, m.val, m.end = m.key-by, m.val-by, m.end-by
		to += n
		live = append(live, m)
	}
	b.buf, b.members, o.dead = b.buf[:to], live, false
}

// key starts a member. A plain one gives way to a base field.
func (b *builder) key(name string, who owner) int {
	at := len(b.buf)
	if who == plain && b.top().root && isBase(name) {
		name = attrPrefix + name
	}
	b.buf = append(appendString(b.buf, name), ':')
	return at
}

// commit ends the member whose key starts at key and whose value starts at val.
func (b *builder) commit(key, val int, who owner) {
	b.buf = append(b.buf, ',')
	b.enter(key, val, len(b.buf)-1, who)
}

// enter takes a member that stands in the buffer, comma and all, into the innermost object: it replaces one of the
// same key, unless it is null.
func (b *builder) enter(key, val, end int, who owner) {
	o := b.top()
	m := member{hash: hash(b.buf[key : val-1]), owner: who, key: key, val: val, end: end}
	if other := b.find(m.hash, b.buf[key:val-1]); other != nil {
		o.dead = true
		if isNull(b.buf[val:end]) {
			m.dead = true
		} else {
			other.dead = true
		}
	}
	o.mask |= 1 << (m.hash & 63)
	b.members = append(b.members, m)
}

// find returns the live member of the innermost object that has this key, or nil.
func (b *builder) find(hash uint32, key []byte) *member {
	o := b.top()
	if o.mask&(1<<(hash&63)) == 0 {
		return nil
	}
	for i := o.first; i < len(b.members); i++ {
		m := &b.members[i]
		if m.hash == hash && !m.dead && bytes.Equal(b.buf[m.key:m.val-1], key) {
			return m
		}
	}
	return nil
}

// include puts the members of a scope into the innermost object.
func (b *builder) include(s *scope) {
	o := b.top()
	shift := len(b.buf)
	b.buf = append(b.buf, s.text...)
	if o.mask&s.mask == 0 { // no key in common
		o.mask |= s.mask
		for _, m := range s.members {
			m.key, m.val, m.end = m.key+shift, m.val+shift, m.end+shift
			b.members = append(b.members, m)
		}
		return
	}
	for _, m := range s.members {
		b.enter(m.key+shift, m.val+shift, m.end+shift, m.owner)
	}
}

// harvest returns the innermost object as a scope, and closes it.
func (b *builder) harvest(name string) scope {
	b.compact()
	o := *b.top()
	s := scope{name: name, text: bytes.Clone(b.buf[o.start:]), mask: o.mask}
	for _, m := range b.members[o.first:] {
		m.key, m.val, m.end = m.key-o.start, m.val-o.start, m.end-o.start
		s.members = append(s.members, m)
	}
	b.open, b.members = b.open[:len(b.open)-1], b.members[:o.first]
	return s
}

// claim makes room in the record for a field of its own that is known only at the end. It tells whether the field may be
// written: what a model put there stays, unless the name is reserved. A plain attribute of that name moves to attr_<name>.
func (b *builder) claim(name string, reserved bool) bool {
	key := appendString(nil, name)
	m := b.find(hash(key), key)
	switch {
	case m == nil || m.owner == base:
		return true
	case m.owner == model && !reserved:
		return false
	}
	m.dead, b.top().dead = true, true
	val, end, who := m.val, m.end, m.owner
	at := len(b.buf)
	b.buf = append(appendString(b.buf, attrPrefix+name), ':')
	start := len(b.buf)
	b.buf = append(b.buf, b.buf[val:end]...)
	b.commit(at, start, who)
	return true
}

// text writes a base field that is a string.
func (b *builder) text(name, value string) {
	key := b.key(name, base)
	val := len(b.buf)
	b.buf = appendString(b.buf, value)
	b.commit(key, val, base)
}

// raw writes a base field whose JSON is ready.
func (b *builder) raw(name string, value []byte) {
	key := b.key(name, base)
	val := len(b.buf)
	b.buf = append(b.buf, value...)
	b.commit(key, val, base)
}

// hash is FNV-1a.
func hash(key []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
