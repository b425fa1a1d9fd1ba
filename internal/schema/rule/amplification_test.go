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

// The check of a value of twice the size takes at most twice the steps and the memory, whatever the shape.
func TestCheckIsLinear(t *testing.T) {
	for _, tt := range []struct {
		name, schema string
		value        func(n int) string
		n            int
	}{
		{"a chain of a recursive type",
			`{"$ref":"#/$defs/c","$defs":{"c":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/c"},
			{"type":"null"}]}},
			"required":["next"]}}}`, func(n int) string {
				return strings.Repeat(`{"next":`, n) + "null" + strings.Repeat("}",
					n)
			}, 400},
		{"a chain that is wrong at its end",
			`{"$ref":"#/$defs/c","$defs":{"c":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/c"},
			{"type":"null"}]}},
			"required":["next"]}}}`, func(n int) string {
				return strings.Repeat(`{"next":`, n) + "1" + strings.Repeat("}",
					n)
			}, 400},
		{"big exponents", `{"items":{"type":"integer","multipleOf":3,"maximum":5}}`, func(n int) string {
			return "[" + strings.Repeat("1e999999999,", n) + "1]"
		}, 1000},
		{"many digits", `{"items":{"type":"integer","multipleOf":3,"maximum":5}}`, func(n int) string {
			return "[" + strings.Repeat("7", 100*n) + ".5e-3]"
		}, 1000},
		{"many violations", `{"items":{"minLength":3}}`, func(n int) string { return "[" + strings.Repeat(`"",`, n) + `""]` },
			1000},
		{"repeated keys", `{"properties":{"a":{"type":"string"}},"additionalProperties":{"minLength":3}}`,
			func(n int) string { return "{" + strings.Repeat(`"a":"xxx","b":"yyy",`, n) + `"a":""}` }, 1000},
		{"unique lists in each other", `{"$ref":"#/$defs/l","$defs":{"l":{"type":["array","integer"],"uniqueItems":true,` +
			`"items":{"$ref":"#/$defs/l"}}}}`,
			func(n int) string { return strings.Repeat(`[1,`, n) + "2" + strings.Repeat("]", n) }, 400},
		{"an enum of a deep value", `{"enum":[1]}`, func(n int) string {
			return strings.Repeat(`{"b":1,"a":`, n) + "2" + strings.Repeat("}", n)
		}, 400},
		{"what v5 checks", `{"items":{"not":{"const":1}}}`, func(n int) string {
			return "[" + strings.Repeat("1e999999,", n) + "2]"
		}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := compiledRule(t, tt.schema)
			steps, bytes := cost(r, tt.value(tt.n))
			moreSteps, moreBytes := cost(r, tt.value(2*tt.n))
			if moreSteps > 2*steps+50 || moreBytes > 2*bytes+bytes/4+1<<18 {
				t.Errorf("%d steps and %d bytes for n, %d and %d for 2n", steps, bytes, moreSteps, moreBytes)
			}
		})
	}
}

// cost returns the steps and the allocated bytes of a check.
func cost(r *Rule, value string) (steps int, allocated uint64) {
	data := []byte(value)
	allocated = testkit.AllocatedBytes(func() {
		c := newRun(data)
		r.check(&c, 0)
		steps = c.applied
	})
	return steps, allocated
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
		{`"` + strings.Repeat("x", foreignBytes-2) + `"`, ""},
		{`"` + strings.Repeat("x", foreignBytes) + `"`, "larger than 256 KiB"},
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
