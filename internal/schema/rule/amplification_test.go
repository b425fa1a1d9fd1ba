package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

const chain = `{"$ref":"#/$defs/c","$defs":{"c":{"type":"object","properties":{"next":` +
	`{"anyOf":[{"$ref":"#/$defs/c"},{"type":"null"}]}},"required":["next"]}}}`

// hostileValues are values of size n that are checked against schemas.
var hostileValues = map[string]struct {
	schema string
	value  func(n int) string
}{
	"a chain of a recursive type": {chain, func(n int) string {
		return strings.Repeat(`{"next":`, n) + "null" + strings.Repeat("}", n)
	}},
	"a chain that is wrong at its end": {chain, func(n int) string {
		return strings.Repeat(`{"next":`, n) + "1" + strings.Repeat("}", n)
	}},
	"big exponents": {`{"items":{"type":"integer","multipleOf":3,"maximum":5}}`, func(n int) string {
		return "[" + strings.Repeat("1e999999999,", n) + "1]"
	}},
	"exponents below zero": {`{"items":{"multipleOf":3,"minimum":-5}}`, func(n int) string {
		return "[" + strings.Repeat("1e-99999,", n) + "1]"
	}},
	"many digits": {`{"items":{"multipleOf":3}}`, func(n int) string {
		return "[" + strings.Repeat("7", 10*n) + "]"
	}},
	"many digits that are no integer": {`{"items":{"type":"integer","multipleOf":3,"maximum":5}}`, func(n int) string {
		return "[" + strings.Repeat("7", 10*n) + ".5e-3]"
	}},
	"as many digits as are divided": {`{"items":{"multipleOf":3}}`, func(n int) string {
		return "[" + strings.Repeat(strings.Repeat("3", 4096)+",", n/100) + "3]"
	}},
	"many violations": {`{"items":{"minLength":3}}`, func(n int) string {
		return "[" + strings.Repeat(`"",`, n) + `""]`
	}},
	"repeated keys": {`{"properties":{"a":{"type":"string"}},"additionalProperties":{"minLength":3}}`, func(n int) string {
		return "{" + strings.Repeat(`"a":"xxx","b":"yyy",`, n) + `"a":""}`
	}},
	"properties that are counted": {`{"minProperties":3}`, func(n int) string {
		return "{" + strings.Repeat(`"a":1,"\u0062":2,`, n) + `"c":3}`
	}},
	"unique lists in each other": {
		`{"$ref":"#/$defs/l","$defs":{"l":{"type":["array","integer"],"uniqueItems":true,"items":{"$ref":"#/$defs/l"}}}}`,
		func(n int) string { return strings.Repeat(`[1,`, n) + "2" + strings.Repeat("]", n) },
	},
	"an enum of a deep value": {`{"enum":[1]}`, func(n int) string {
		return strings.Repeat(`{"b":1,"a":`, n) + "2" + strings.Repeat("}", n)
	}},
	"what v5 checks": {`{"items":{"not":{"const":1}}}`, func(n int) string {
		return "[" + strings.Repeat("1e9999,", n) + "2]"
	}},
	"a chain that v5 checks": {
		`{"$ref":"#/$defs/c","$defs":{"c":{"properties":{"next":` +
			`{"anyOf":[{"$ref":"#/$defs/c"},{"type":"null"},{"const":1}]}}}}}`,
		func(n int) string { return strings.Repeat(`{"next":`, n) + `""` + strings.Repeat("}", n) },
	},
	"deep values that v5 checks": {`{"not":{"const":1}}`, func(n int) string {
		return strings.Repeat(`{"a":`, n) + "2" + strings.Repeat("}", n)
	}},
}

// The check of a value of twice the size takes at most twice the steps and the memory, whatever the shape, and few
// steps for each byte.
func TestCheckIsLinear(t *testing.T) {
	const n = 1000
	for name, tt := range hostileValues {
		t.Run(name, func(t *testing.T) {
			r := compiledRule(t, tt.schema)
			once, twice := checked(r, tt.value(n)), checked(r, tt.value(2*n))
			if all := r.Check([]byte(tt.value(2*n)), false); len(all) > 100 {
				t.Errorf("%d violations are told", len(all))
			}
			if twice > 2*once+once/4+1<<18 {
				t.Errorf("%d bytes are allocated for n, %d for 2n", once, twice)
			}
		})
	}
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, n, 30, func(n int) (bytes int) {
			for _, tt := range hostileValues {
				value := tt.value(n)
				compiledRule(t, tt.schema).Check([]byte(value), false)
				bytes += len(value)
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/internal/...", "encoding/json", "math/big",
			"github.com/santhosh-tekuri/jsonschema/v5")
	})
}

// checked returns the allocated bytes of a check.
func checked(r *Rule, value string) uint64 {
	data := []byte(value)
	return testkit.AllocatedBytes(func() { r.Check(data, false) })
}

func compiledRule(t *testing.T, doc string) *Rule {
	t.Helper()
	s, err := jsonschema.CompileString("schema:///x", doc)
	if err != nil {
		t.Fatal(err)
	}
	in := json.NewDecoder(bytes.NewReader([]byte(doc)))
	in.UseNumber()
	var decoded any
	if err := in.Decode(&decoded); err != nil {
		t.Fatal(err)
	}
	return Compile(s, decoded)
}

// A number of more digits than are divided breaks multipleOf, whatever its value: dividing costs more than reading
// does.
func TestNumbersOfTooManyDigitsAreNotDivided(t *testing.T) {
	t.Parallel()
	r := compiledRule(t, `{"multipleOf":2}`)
	for digits, valid := range map[int]bool{4096: true, 4097: false} {
		if got := r.Check([]byte(strings.Repeat("2", digits)), false); (len(got) == 0) != valid {
			t.Errorf("%d digits: %.300v", digits, got)
		}
	}
}

// What goes to v5 is bounded in size, depth and numbers, and refused beyond.
func TestForeignIsBounded(t *testing.T) {
	t.Parallel()
	r := compiledRule(t, `{"not":{"const":1}}`)
	for _, tt := range []struct {
		value string
		want  string
	}{
		{`"` + strings.Repeat("x", delegatedBytes-2) + `"`, ""},
		{`"` + strings.Repeat("x", delegatedBytes) + `"`, "larger than 256 KiB"},
		{strings.Repeat("[", 64) + strings.Repeat("]", 64), ""},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), "deeper than 64 levels"},
		{"1e1000", ""}, {"1e1001", "too large"}, {"1e-1001", "too large"}, {strings.Repeat("1", 1001), "too large"},
	} {
		got := r.Check([]byte(tt.value), false)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !strings.Contains(fmt.Sprint(got), tt.want) {
			t.Errorf("%.20s: %v, want %q", tt.value, got, tt.want)
		}
	}
}
