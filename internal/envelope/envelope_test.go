package envelope

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	deepest := strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1)
	for _, test := range []struct {
		name, value  string
		schema, data string // "-" is nil
	}{
		{"as the bus writes it", `{"schema":"Content:1","data":{"n":1}}`, "Content:1", `{"n":1}`},
		{"other order", `{"data":{"n":1},"schema":"Content:1"}`, "Content:1", `{"n":1}`},
		{"space everywhere", " \t\r\n{ \n\"schema\" : \"Content:1\" , \"data\" : { \"n\" : 1 } \r}\t", "Content:1",
			`{ "n" : 1 }`},
		{"other keys", `{"id":[{}],"schema":"Content:1","data":1,"meta":{"data":2,"schema":"No:1"}}`, "Content:1", `1`},
		{"escapes in keys", `{"sch\u0065ma":"Content:1","d\u0061t\u0061":1}`, "Content:1", `1`},
		{"keys are told apart by case", `{"Data":1,"SCHEMA":"Content:1"}`, "-", "-"},
		{"keys that begin alike", `{"dat":1,"data2":2,"schemas":"x"}`, "-", "-"},
		{"the last of two counts", `{"data":1,"schema":"A:1","schema":"B:1","data":2}`, "B:1", `2`},
		{"the last of two spellings counts", `{"data":1,"\u0064ata":2}`, "-", `2`},
		{"the last schema counts, also if it is none", `{"schema":"A:1","schema":null}`, "-", "-"},
		{"schema null", `{"schema":null,"data":1}`, "-", `1`},
		{"schema a number", `{"schema":7,"data":1}`, "-", `1`},
		{"schema an object", `{"schema":{"id":"A"},"data":1}`, "-", `1`},
		{"schema empty", `{"schema":"","data":1}`, "", `1`},
		{"schema with escapes", `{"schema":"\u0041\/\"\ud83d\ude00:1","data":1}`, `A/"😀:1`, `1`},
		{"schema with any characters", `{"schema":"with space/ünï:10","data":1}`, `with space/ünï:10`, `1`},
		{"no data", `{"schema":"A:1"}`, "A:1", "-"},
		{"data null", `{"data":null}`, "-", `null`},
		{"data true", `{"data":true}`, "-", `true`},
		{"data false", `{"data":false }`, "-", `false`},
		{"data text", `{"data":"x\"\\\/\b\f\n\r\t\u00e4"}`, "-", `"x\"\\\/\b\f\n\r\t\u00e4"`},
		{"data a list", `{"data":[ ]}`, "-", `[ ]`},
		{"data an empty object", `{"data":{ }}`, "-", `{ }`},
		{"numbers", `{"data":[0,-0,1,-12,0.5,10.25e+7,1E-9,1e0]}`, "-", `[0,-0,1,-12,0.5,10.25e+7,1E-9,1e0]`},
		{"a number of any size", `{"data":1` + strings.Repeat("0", 400) + `}`, "-", "1" + strings.Repeat("0", 400)},
		{"characters of every length", `{"data":"aé€😀` + "\x7f" + `"}`, "-", `"aé€😀` + "\x7f" + `"`},
		{"U+FFFD itself", `{"data":"` + "\ufffd" + `\ufffd"}`, "-", `"` + "\ufffd" + `\ufffd"`},
		{"a surrogate pair", `{"data":"\uD83D\uDE00"}`, "-", `"\uD83D\uDE00"`},
		{"as deep as may be", `{"data":` + deepest + `}`, "-", deepest},
		{"an empty object", `{}`, "-", "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, err := Parse([]byte(test.value))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(e.Schema); got != test.schema {
				t.Errorf("schema %q, want %q", got, test.schema)
			}
			if got := show(e.Data); got != test.data {
				t.Errorf("data %q, want %q", got, test.data)
			}
		})
	}
}

func show(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", MaxDepth)
	for _, test := range []struct{ name, value, want string }{
		{"empty", "", "the value is empty"},
		{"space", "  ", "not JSON at byte 2: the value ends where a value should be"},
		{"no JSON", "nope", "not JSON at byte 0: 'n' where a value should be"},
		{"null", " null", "at byte 1: the value is not a JSON object"},
		{"list", "[1]", "at byte 0: the value is not a JSON object"},
		{"number", "3", "at byte 0: the value is not a JSON object"},
		{"text", `"x"`, "at byte 0: the value is not a JSON object"},
		{"broken list", "[1", "not JSON at byte 2: the value ends where ',' or ']' should be"},
		{"byte order mark", "\xef\xbb\xbf{}", `not JSON at byte 0: '\ufeff' where a value should be`},
		{"Avro's magic byte", "\x00\x00\x00\x00\x01{}", `not JSON at byte 0: '\x00' where a value should be`},
		{"behind the end", `{"data":1} x`, "not JSON at byte 11: 'x' where the end should be"},
		{"two values", `{}{}`, "not JSON at byte 2: '{' where the end should be"},
		{"cut off in the object", `{"data":1`, "not JSON at byte 9: the value ends where ',' or '}' should be"},
		{"cut off before a key", `{`, "not JSON at byte 1: the value ends where a key in quotes should be"},
		{"cut off in a key", `{"da`, `not JSON at byte 4: the value ends where '"' at the end of a string should be`},
		{"cut off behind a key", `{"data"`, "not JSON at byte 7: the value ends where ':' should be"},
		{"cut off before a value", `{"data":`, "not JSON at byte 8: the value ends where a value should be"},
		{"cut off in an escape", `{"data":"\`, "not JSON at byte 10: the value ends where an escape should be"},
		{"cut off in digits", `{"data":"\u00`, "not JSON at byte 13: the value ends where a hexadecimal digit should be"},
		{"cut off in a pair", `{"data":"\ud800\u`, "not JSON at byte 17: the value ends where a hexadecimal digit should be"},
		{"comma at the end", `{"data":1,}`, "not JSON at byte 10: '}' where a key in quotes should be"},
		{"comma at the end of a list", `{"data":[1,]}`, "not JSON at byte 11: ']' where a value should be"},
		{"no comma", `{"data":1 "b":2}`, `not JSON at byte 10: '"' where ',' or '}' should be`},
		{"no comma in a list", `{"data":[1 2]}`, "not JSON at byte 11: '2' where ',' or ']' should be"},
		{"no colon", `{"data" 1}`, "not JSON at byte 8: '1' where ':' should be"},
		{"key without quotes", `{data:1}`, "not JSON at byte 1: 'd' where a key in quotes should be"},
		{"single quotes", `{'data':1}`, `not JSON at byte 1: '\'' where a key in quotes should be`},
		{"NaN", `{"data":{"n":NaN}}`, "not JSON at byte 13: 'N' where a value should be"},
		{"Infinity", `{"data":-Infinity}`, "not JSON at byte 9: 'I' where a digit should be"},
		{"zero before digits", `{"data":01}`, "not JSON at byte 9: '1' where ',' or '}' should be"},
		{"plus", `{"data":+1}`, "not JSON at byte 8: '+' where a value should be"},
		{"no digit behind the point", `{"data":1.}`, "not JSON at byte 10: '}' where a digit should be"},
		{"no digit before the point", `{"data":.5}`, "not JSON at byte 8: '.' where a value should be"},
		{"no digit in the exponent", `{"data":1e+}`, "not JSON at byte 11: '}' where a digit should be"},
		{"half a word", `{"data":tru}`, "not JSON at byte 8: 't' where a value should be"},
		{"other space", "{\"data\":\u00a01}", `not JSON at byte 8: '\u00a0' where a value should be`},
		{"control character", "{\"data\":\"01234567\n\"}", "not JSON at byte 17: control character 0x0a in a string, where " +
			"it must be escaped"},
		{"control character near the end", "{\"data\":\"\x00\"}", "not JSON at byte 9: control character 0x00 in a string, " +
			"where it must be escaped"},
		{"unknown escape", `{"data":"\x41"}`, "not JSON at byte 10: 'x' where an escape should be"},
		{"bad digit", `{"data":"\u00g0"}`, "not JSON at byte 13: 'g' where a hexadecimal digit should be"},
		{"not UTF-8", "{\"data\":\"abcdefghij\xff\"}", "not UTF-8 at byte 19: the byte 0xff"},
		{"not UTF-8 near the end", "{\"data\":\"\xc3\"}", "not UTF-8 at byte 9: the byte 0xc3"},
		{"not UTF-8 behind what is", "{\"data\":\"é€\xed\xa0\x80 and on\"}", "not UTF-8 at byte 14: the byte 0xed"},
		{"not UTF-8 in another key", "{\"\xff\":1}", "not UTF-8 at byte 2: the byte 0xff"},
		{"not UTF-8 outside of strings", "{\"data\":\xff}", "not JSON at byte 8: the byte 0xff where a value should be"},
		{"first half of a pair", `{"data":"\ud800"}`, `not Unicode at byte 9: half a surrogate pair, \ud800`},
		{"first half twice", `{"data":"\ud800\ud800"}`, `not Unicode at byte 9: half a surrogate pair, \ud800`},
		{"first half, then text", `{"data":"\uDBFFabcdef"}`, `not Unicode at byte 9: half a surrogate pair, \uDBFF`},
		{"second half", `{"data":"\udc00"}`, `not Unicode at byte 9: half a surrogate pair, \udc00`},
		{"half a pair in a key", `{"\udc00":1}`, `not Unicode at byte 2: half a surrogate pair, \udc00`},
		{"too deep", `{"data":` + deep, "too deep at byte 1007: more than 1000 nested objects and arrays"},
		{"too deep with objects", strings.Repeat(`{"a":`, MaxDepth+1), "too deep at byte 5000: more than 1000 nested " +
			"objects and arrays"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, err := Parse([]byte(test.value))
			if err == nil {
				t.Fatalf("schema %q, data %q and no error", e.Schema, e.Data)
			}
			if got, want := err.Error(), "envelope: "+test.want; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if e.Schema != nil || e.Data != nil {
				t.Errorf("schema %q, data %q beside the error", e.Schema, e.Data)
			}
		})
	}
}

// TestEveryPlace puts each byte at each place of strings of different lengths, because they are read eight bytes at a
// time.
func TestEveryPlace(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for place := range length {
			for c := range 256 {
				text := bytes.Repeat([]byte("a"), length)
				text[place] = byte(c)
				agrees(t, []byte(`{"data":"`+string(text)+`"}`))
				agrees(t, []byte(`{"data":"`+string(text)+`","and":"some more text"}`))
			}
		}
	}
}

// TestEveryCut cuts a value off at every place.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	value := []byte(`{"a":[1.5e-7,-0,{"b":null}],"schema":"x\u00e4\ud83d\ude00é:1","data":{"t":true,"f":[false, ""]}} `)
	for end := range len(value) - 1 {
		agrees(t, value[:end])
	}
	agrees(t, value)
}

func TestTheDataCannotGrowIntoTheValue(t *testing.T) {
	t.Parallel()
	value := []byte(`{"data":1,"schema":"A:1"}`)
	e, err := Parse(value)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(e.Data, "overwritten"...)
	if want := `{"data":1,"schema":"A:1"}`; string(value) != want {
		t.Errorf("the value is now %s", value)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	value := []byte(typicalValue)
	if n := testing.AllocsPerRun(100, func() { _, _ = Parse(value) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPython reads every value that Python's handlers were given. What they take for no JSON must be none here, and the
// other way round; values that are no objects, which only an unannotated handler gets there, are no envelopes.
func TestPython(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "bus", "testdata", "python", "consume.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Case, Pydantic, Handler, Outcome, Error string
			Value                                   []byte `json:"value_b64"`
			Got                                     json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Handler != "unannotated" || strings.HasPrefix(line.Case, "header-") {
			continue
		}
		seen++
		e, err := Parse(line.Value)
		if wanted := line.Outcome == "handled" && line.Got[0] == '{'; wanted != (err == nil) {
			t.Errorf("%s: Python: %s %s %s; Parse: %v", line.Case, line.Outcome, line.Error, line.Got, err)
			continue
		}
		if err != nil {
			continue
		}
		var got struct {
			Schema string
			Data   json.RawMessage
		}
		if err := json.Unmarshal(line.Got, &got); err != nil {
			t.Fatal(err)
		}
		if string(e.Schema) != got.Schema {
			t.Errorf("%s: schema %q, Python's %q", line.Case, e.Schema, got.Schema)
		}
		if g, w := decoded(t, e.Data), decoded(t, got.Data); g != w {
			t.Errorf("%s: data %s, Python's %s", line.Case, g, w)
		}
	}
	if seen != 2*37 {
		t.Errorf("%d lines, want 37 for each pydantic version", seen)
	}
}

// decoded brings JSON into one form. Nothing is nothing.
func decoded(t *testing.T, data []byte) string {
	t.Helper()
	if data == nil {
		return "-"
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
