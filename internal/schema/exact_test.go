package schema

import (
	"errors"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
)

type counted struct {
	N int `json:"n" jsonschema:"minimum=0"`
}

// either is checked by v5, because of oneOf, and so is all that is inside of it.
type either struct {
	A     int                 `json:"a,omitempty" jsonschema:"oneof_required=a"`
	B     int                 `json:"b,omitempty" jsonschema:"oneof_required=b"`
	N     int                 `json:"n" jsonschema:"minimum=0"`
	Inner *counted            `json:"inner,omitempty"`
	List  []counted           `json:"list,omitempty"`
	Map   map[string]*counted `json:"map,omitempty"`
}

// conditional is checked by v5, because of if.
type conditional struct {
	N int `json:"n" jsonschema:"minimum=0"`
}

func (conditional) JSONSchemaExtend(s *jsonschema.Schema) {
	s.If = &jsonschema.Schema{Required: []string{"x"}}
	s.Then = &jsonschema.Schema{Required: []string{"y"}}
}

// What encoding/json would decode past the check is found in the parts that v5 checks, too.
func TestCheckExactOfWhatV5Checks(t *testing.T) {
	for _, test := range []struct {
		value       any
		data, field string // "" = it is right
	}{
		{either{}, `{"a":1,"n":1,"inner":null,"list":[{"n":1},{"n":2}],"map":{"k":{"n":1},"K":null},"x":{"n":1,"N":2}}`, ""},
		{either{}, `{"a":1,"n":1,"N":-1}`, "N"},
		{either{}, `{"a":1,"n":-1,"n":1}`, "n"},
		{either{}, `{"a":1,"n":1,"B":2}`, "B"},
		{either{}, `{"a":1,"n":1,"inner":{"n":-1},"inner":{"n":2}}`, "inner"},
		{either{}, `{"a":1,"n":1,"INNER":{"n":-1}}`, "INNER"},
		{either{}, `{"a":1,"n":1,"inner":{"n":1,"\u004e":-1}}`, "inner.N"},
		{either{}, `{"a":1,"n":1,"list":[{"n":1}, {"n":1,"N":-1}]}`, "list[1].N"},
		{either{}, `{"a":1,"n":1,"map":{"k":{"n":-1,"n":1}}}`, "map.k.n"},
		{[]conditional{}, `[{"n":1},{"n":1,"N":-1}]`, "[1].N"},
	} {
		s, err := For(reflect.TypeOf(test.value))
		if err != nil {
			t.Fatal(err)
		}
		err = s.CheckExact([]byte(test.data))
		invalid, ok := errors.AsType[*Invalid](err)
		switch {
		case test.field == "" && err == nil:
		case !ok || len(invalid.Violations) != 1 || invalid.Violations[0].Field != test.field:
			t.Errorf("%s: got %v, want a violation of %q", test.data, err, test.field)
		}
	}
}
