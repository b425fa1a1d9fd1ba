package rawjson

// AppendTidy appends a valid document in one form: compact, all of it UTF-8, no key twice in an object (the last one
// stays), and tooDeep in the place of what lies deeper than so many levels.
func AppendTidy(dst, doc []byte, levels int, tooDeep string) []byte {
	value := doc[Space(doc, 0):]
	switch value[0] {
	case '"':
		end := SkipString(value, 0)
		if Simple(value[:end]) {
			return append(dst, value[:end]...)
		}
		return AppendText(dst, Unquote(value[:end]), Plain)
	case '[', '{':
		if levels <= 0 {
			return AppendText(dst, tooDeep, Plain)
		}
	default:
		return append(dst, value[:Skip(value, 0)]...)
	}
	start := len(dst)
	if value[0] == '[' {
		Elements(value, func(e []byte) bool {
			dst = AppendTidy(append(dst, ','), e, levels-1, tooDeep)
			return true
		})
		return Close(dst, start, "[]")
	}
	last := lastOfEach(value)
	i := 0
	Members(value, func(key, v []byte) bool {
		if name := Unquote(key); last[name] == i {
			dst = append(AppendText(append(dst, ','), name, Plain), ':')
			dst = AppendTidy(dst, v, levels-1, tooDeep)
		}
		i++
		return true
	})
	return Close(dst, start, "{}")
}

// lastOfEach returns for each key of the object the index of its last member.
func lastOfEach(doc []byte) map[string]int {
	last := make(map[string]int)
	i := 0
	Members(doc, func(key, _ []byte) bool {
		last[Unquote(key)] = i
		i++
		return true
	})
	return last
}

// Close ends an object or array that began at start, each part of which was written with a comma before it.
func Close(dst []byte, start int, empty string) []byte {
	if len(dst) == start {
		return append(dst, empty...)
	}
	dst[start] = empty[0]
	return append(dst, empty[1])
}
