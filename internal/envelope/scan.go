package envelope

// Each function of this file skips one piece of JSON: it takes the index where the piece begins and returns the index
// behind it.

// anyValue skips one value that is nested in depth objects and arrays.
func anyValue(b []byte, i, depth int) (int, error) {
	if i == len(b) {
		return 0, unexpected(b, i, "a value")
	}
	switch b[i] {
	case '"':
		return text(b, i)
	case '{':
		return object(b, i, depth+1, nil)
	case '[':
		return array(b, i, depth+1)
	case 't':
		return word(b, i, "true")
	case 'f':
		return word(b, i, "false")
	case 'n':
		return word(b, i, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return number(b, i)
	default:
		return 0, unexpected(b, i, "a value")
	}
}

// object skips an object. For the envelope itself it stores the members in e.
func object(b []byte, i, depth int, e *Envelope) (int, error) {
	if depth > MaxDepth {
		return 0, tooDeep(i)
	}
	if i = space(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	var err error
	for {
		key := i
		if i == len(b) || b[i] != '"' {
			return 0, unexpected(b, i, "a key in quotes")
		}
		if i, err = text(b, i); err != nil {
			return 0, err
		}
		keyEnd := i
		if i = space(b, i); i == len(b) || b[i] != ':' {
			return 0, unexpected(b, i, "':'")
		}
		value := space(b, i+1)
		if i, err = anyValue(b, value, depth); err != nil {
			return 0, err
		}
		if e != nil {
			e.set(b[key:keyEnd], b[value:i:i])
		}
		i = space(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i = space(b, i+1)
		case i < len(b) && b[i] == '}':
			return i + 1, nil
		default:
			return 0, unexpected(b, i, "',' or '}'")
		}
	}
}

func array(b []byte, i, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, tooDeep(i)
	}
	if i = space(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	var err error
	for {
		if i, err = anyValue(b, i, depth); err != nil {
			return 0, err
		}
		i = space(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i = space(b, i+1)
		case i < len(b) && b[i] == ']':
			return i + 1, nil
		default:
			return 0, unexpected(b, i, "',' or ']'")
		}
	}
}

// space skips white space. Usually there is none.
func space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}
