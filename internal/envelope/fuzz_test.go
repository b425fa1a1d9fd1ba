package envelope

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		typicalValue,
		`{}`,
		`{"data":null,"schema":"A:1","x":[true,false,-0.5e+10]} `,
		`{"d\u0061ta":"\ud83d\ude00","data":{"a":{"data":[]}}}`,
		`{"data":"\ud800\u0041"}`,
		`{"data":"\ud800 and \n"}`,
		`{"data":"0123456` + "é" + `\n"}`,
		`[{"data":1}]`,
		"\xef\xbb\xbf{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) { agrees(t, value) })
}

// agrees compares Parse with encoding/json, and with what encoding/json lets pass checked beside it.
func agrees(t *testing.T, value []byte) {
	t.Helper()
	before := bytes.Clone(value)
	e, err := Parse(value)
	if !bytes.Equal(before, value) {
		t.Fatalf("%q became %q", before, value)
	}
	var members map[string]json.RawMessage
	wanted := json.Unmarshal(value, &members) == nil && members != nil &&
		utf8.Valid(value) && !halfPair(value) && depth(value) <= MaxDepth
	if wanted != (err == nil) {
		t.Fatalf("%q: error %v, but encoding/json and Unicode say %v", value, err, wanted)
	}
	if err != nil {
		return
	}
	if data, there := members["data"]; there != (e.Data != nil) || !bytes.Equal(e.Data, data) {
		t.Fatalf("%q: data %q, want %q", value, e.Data, data)
	}
	var schema *string
	if json.Unmarshal(members["schema"], &schema) != nil || schema == nil {
		if e.Schema != nil {
			t.Fatalf("%q: schema %q, want none", value, e.Schema)
		}
		return
	}
	if e.Schema == nil || string(e.Schema) != *schema {
		t.Fatalf("%q: schema %q, want %q", value, e.Schema, *schema)
	}
}

var escapes = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|.)`)

// halfPair reports whether valid JSON has an escaped surrogate without its other half.
func halfPair(value []byte) bool {
	open := -1 // where the first half ended
	for _, at := range escapes.FindAllIndex(value, -1) {
		r := rune(0)
		if at[1]-at[0] == 6 {
			n, _ := strconv.ParseUint(string(value[at[0]+2:at[1]]), 16, 16)
			r = rune(n)
		}
		second := 0xdc00 <= r && r <= 0xdfff
		if paired := second && open == at[0]; (second || open >= 0) && !paired {
			return true
		}
		open = -1
		if 0xd800 <= r && r <= 0xdbff {
			open = at[1]
		}
	}
	return open >= 0
}

// depth returns how deep valid JSON is nested.
func depth(value []byte) int {
	deepest, now := 0, 0
	for in := json.NewDecoder(bytes.NewReader(value)); ; {
		token, err := in.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
		case json.Delim('}'), json.Delim(']'):
			now--
		}
		deepest = max(deepest, now)
	}
}
