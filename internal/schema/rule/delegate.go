package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// What is handed to v5 is bounded, because v5's time is not: it grows with the square of the nesting, and with the size
// of a number rather than of its text.
const (
	delegatedBytes  = 256 << 10
	delegatedLevels = 64
	delegatedDigits = 1000 // of a number, its exponent written out
)

// delegate lets v5 check the value from i to end.
func (c *run) delegate(r *Rule, i, end int) {
	value := c.data[i:end]
	if why := beyond(value); why != "" {
		c.say(r, "", i, "cannot be checked for "+r.Delegated+": "+why)
		return
	}
	in := json.NewDecoder(bytes.NewReader(value))
	in.UseNumber()
	var decoded any
	if err := in.Decode(&decoded); err != nil {
		c.say(r, "", i, "cannot be checked: "+err.Error())
		return
	}
	err := r.schema.Validate(decoded)
	var broken *jsonschema.ValidationError
	switch {
	case err == nil:
	case !errors.As(err, &broken):
		c.say(r, "", i, "cannot be checked: "+err.Error())
	case c.quick:
		c.failed = true
	default:
		f := explanation{run: c, rule: r, value: decoded, at: i}
		f.leaves(broken)
	}
}

// beyond says why a value is not given to v5, "" if it is.
func beyond(value []byte) string {
	if len(value) > delegatedBytes {
		return "it is larger than 256 KiB"
	}
	depth := 0
	for i := 0; i < len(value); {
		switch b := value[i]; {
		case b == '"':
			i = rawjson.SkipString(value, i)
			continue
		case b == '{' || b == '[':
			if depth++; depth > delegatedLevels {
				return "it is nested deeper than 64 levels"
			}
		case b == '}' || b == ']':
			depth--
		case b == '-' || b >= '0' && b <= '9':
			end := rawjson.Skip(value, i)
			d := rawjson.ParseDecimal(value[i:end])
			if d.Exp > delegatedDigits || d.Exp < -delegatedDigits || len(d.Digits) > delegatedDigits {
				return "it has a number that is too large"
			}
			i = end
			continue
		}
		i++
	}
	return ""
}

// explanation turns v5's tree of causes into violations: its leaves.
type explanation struct {
	run   *run
	rule  *Rule
	value any // as v5 saw it
	at    int
}

func (f *explanation) leaves(e *jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		f.leaf(e)
		return
	}
	before := len(f.run.violations)
	for _, cause := range e.Causes {
		if len(e.Causes) == 1 || !onlyNull(cause) {
			f.leaves(cause)
		}
		if f.run.ended() {
			return
		}
	}
	if len(f.run.violations) == before {
		f.leaf(e)
	}
}

// onlyNull reports whether a cause is just that the value is not null, which nobody needs to know of a field that may
// be null.
func onlyNull(e *jsonschema.ValidationError) bool {
	return len(e.Causes) == 0 && keywordOf(e) == "type" && strings.HasPrefix(e.Message, "expected null,")
}

// leaf describes one broken keyword.
func (f *explanation) leaf(e *jsonschema.ValidationError) {
	value, path, field, _ := lookup(f.value, e.InstanceLocation)
	if prefix := f.run.field(); prefix != "" {
		field = join(prefix, field)
	}
	path = slices.Concat(f.run.steps(), path)
	v := Violation{Field: field, Path: path, Keyword: keywordOf(e), at: f.at}
	limit, known := f.limit(e)
	if v.Keyword == "required" && known {
		object, _ := value.(map[string]any)
		names, _ := limit.([]any)
		for _, n := range names {
			name, _ := n.(string)
			if _, there := object[name]; !there {
				f.run.add(Violation{Field: join(field, name), Path: append(slices.Clone(path), name), Keyword: v.Keyword,
					Text: "is missing", at: f.at})
			}
		}
		return
	}
	v.Text, v.Value = sentence(v.Keyword, limit, value)
	if v.Text == "" || !known {
		v.Text = Shorten(e.Message)
	}
	f.run.add(v)
}

// limit returns the keyword's value in the schema document.
func (f *explanation) limit(e *jsonschema.ValidationError) (any, bool) {
	_, pointer, ok := strings.Cut(e.AbsoluteKeywordLocation, "#")
	if !ok {
		return nil, false
	}
	value, _, _, ok := lookup(f.rule.document, pointer)
	return value, ok
}

// keywordOf returns the last step of a cause's place in the schema that is a keyword; allOf/1 and the like end with a
// number.
func keywordOf(e *jsonschema.ValidationError) string {
	for _, step := range slices.Backward(strings.Split(e.KeywordLocation, "/")) {
		if _, err := strconv.Atoi(step); err != nil {
			return step
		}
	}
	return ""
}

// lookup follows a JSON pointer as v5 writes them, percent-encoded, and returns the steps and the value there. Path is
// the pointer's steps; field the same for people. ok is false when the pointer leads nowhere.
func lookup(doc any, pointer string) (value any, path []string, field string, ok bool) {
	value, ok = doc, true
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		if plain, err := url.PathUnescape(step); err == nil {
			step = plain
		}
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		path = append(path, step)
		switch in := value.(type) {
		case []any:
			field += "[" + step + "]"
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil, path, field, false
			}
			value = in[i]
		case map[string]any:
			field = join(field, step)
			if value, ok = in[step]; !ok {
				return nil, path, field, false
			}
		default:
			return nil, path, join(field, step), false
		}
	}
	return value, path, field, ok
}
