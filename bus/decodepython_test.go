package bus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
)

// bound is the model of the handlers in testdata/python/consume.jsonl: an int, an optional str and an optional
// datetime.
type bound struct {
	N    int        `json:"n"`
	S    *string    `json:"s,omitempty"`
	When *time.Time `json:"when,omitempty"`
}

// pythonCase is one line: what a Python handler gets for a record's value.
type pythonCase struct {
	Case, Pydantic, Handler, Outcome, Error string

	Value []byte `json:"value_b64"`
	Got   json.RawMessage
}

// differs are the cases in which Go's verdict is another than Python's, with the reason. A case with a pydantic version
// behind it is one where the other version agrees with Go.
type differs map[string]string

var (
	// typing is how encoding/json binds values to Go types.
	typing = differs{
		"n-text":              "encoding/json makes no number of a text",
		"n-true":              "encoding/json makes no number of a truth",
		"n-float pydantic 1":  "encoding/json cuts no number off",
		"n-2p64 pydantic 1":   "a Go int has 64 bits",
		"s-number pydantic 1": "encoding/json makes no text of a number",
		"when-unix":           "encoding/json reads times in RFC 3339 only",
	}
	// unchecked is what encoding/json lets pass, and Validate does not.
	unchecked = differs{
		"field-missing": "a field that is missing keeps its zero value",
		"n-null":        "null leaves a field its zero value",
	}
	// headers stop a Python process; the bus hands them to the handler as they are.
	headers = differs{
		"header-not-utf8": "headers are bytes",
		"header-null":     "headers may be null",
	}
)

func and(all ...differs) differs {
	sum := make(differs)
	for _, d := range all {
		maps.Copy(sum, d)
	}
	return sum
}

func TestHandlersGetWhatPythonsGet(t *testing.T) {
	t.Parallel()
	cases := readPythonCases(t)
	sameModel := func(got bound, python json.RawMessage) string {
		var want bound
		// a time as Python has it
		if zoned, changed := jsonplan.Adapt(reflect.TypeFor[bound](), bytes.TrimSpace(python)); changed {
			python = zoned
		}
		if err := json.Unmarshal(python, &want); err != nil {
			return err.Error()
		}
		for _, at := range []*time.Time{got.When, want.When} {
			if at != nil {
				*at = at.Truncate(time.Microsecond).UTC() // Python cuts off the nanoseconds
			}
		}
		return cmp.Diff(want, got)
	}
	t.Run("model", func(t *testing.T) {
		compare(t, cases["model"], false, and(typing, unchecked, headers), sameModel)
	})
	t.Run("model, validated", func(t *testing.T) {
		compare(t, cases["model"], true, and(typing, headers), sameModel)
	})
	t.Run("model and schema", func(t *testing.T) {
		noSchema := differs{"no-schema": "Python's handler asks for a schema and stops the process; a Message has an empty " +
			"one"}
		compare(t, cases["model+schema"], false, and(typing, unchecked, headers, noSchema),
			func(got *Message[bound], python json.RawMessage) string {
				var want struct {
					Data   json.RawMessage
					Schema string
				}
				if err := json.Unmarshal(python, &want); err != nil {
					return err.Error()
				}
				return cmp.Diff(want.Schema, got.Schema) + sameModel(got.Data, want.Data)
			})
	})
	t.Run("unannotated", func(t *testing.T) {
		objects := differs{
			"null":   "a map[string]any is an object",
			"list":   "a map[string]any is an object",
			"number": "a map[string]any is an object",
		}
		compare(t, cases["unannotated"], false, and(objects, headers),
			func(got map[string]any, python json.RawMessage) string {
				var want map[string]any
				if err := json.Unmarshal(python, &want); err != nil {
					return err.Error()
				}
				return cmp.Diff(want, got)
			})
	})
	t.Run("bytes", func(t *testing.T) {
		compare(t, cases["bytes"], false, headers, func(got []byte, python json.RawMessage) string {
			var want struct{ B64 []byte }
			if err := json.Unmarshal(python, &want); err != nil {
				return err.Error()
			}
			return cmp.Diff(want.B64, got)
		})
	})
	t.Run("record", func(t *testing.T) {
		compare(t, cases["record"], false, headers, func(got *Record, python json.RawMessage) string {
			var want struct{ Offset int64 }
			if err := json.Unmarshal(python, &want); err != nil {
				return err.Error()
			}
			return cmp.Diff(want.Offset, got.Offset)
		})
	})
}

// compare decodes all cases for a handler of T. A record that Go decodes has to be one that Python's handler gets, and
// to mean the same, but where it is known to differ; and where it is known to, it has to.
func compare[T any](t *testing.T, cases []pythonCase, validate bool, known differs,
	same func(got T, python json.RawMessage) string) {
	t.Helper()
	decode, err := decoderOf[T](validate)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2*42 {
		t.Fatalf("%d cases, want 42 for each pydantic version", len(cases))
	}
	unmet := maps.Clone(known)
	for _, c := range cases {
		name := c.Case
		if known[name] == "" {
			name += " pydantic " + c.Pydantic
		}
		delete(unmet, name)
		got, err := decode(&Record{Offset: 7, Value: c.Value})
		differ := (c.Outcome == "handled") != (err == nil)
		switch {
		case differ && known[name] == "":
			t.Errorf("%s, pydantic %s: Python: %s %s; Go: %v", c.Case, c.Pydantic, c.Outcome, c.Error, err)
		case !differ && known[name] != "":
			t.Errorf("%s, pydantic %s does not differ: %s", c.Case, c.Pydantic, known[name])
		case !differ && err == nil:
			if diff := same(got, c.Got); diff != "" {
				t.Errorf("%s, pydantic %s: -Python +Go\n%s", c.Case, c.Pydantic, diff)
			}
		}
	}
	for name := range unmet {
		t.Errorf("there is no case %s", name)
	}
}

// readPythonCases returns the cases by handler. The headers that some have are left out: a decoder does not look at
// them.
func readPythonCases(t *testing.T) map[string][]pythonCase {
	t.Helper()
	file, err := os.ReadFile("testdata/python/consume.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	cases := make(map[string][]pythonCase)
	for lines := bufio.NewScanner(bytes.NewReader(file)); lines.Scan(); {
		var c pythonCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases[c.Handler] = append(cases[c.Handler], c)
	}
	return cases
}
