package logrecord

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type login struct {
	Model
	User     string            `json:"user" jsonschema:"minLength=2"`
	Password string            `json:"password" log:"redact" jsonschema:"minLength=12"`
	Token    string            `json:"token" log:"-" jsonschema:"pattern=^t"`
	Card     string            `json:"card,omitempty" log:"hash" jsonschema:"maxLength=4"`
	Answers  map[string]string `json:"answers" log:"redact"`
	Inner    struct {
		Secret []string `json:"secret" log:"-" jsonschema:"minItems=3"`
		Shown  int      `json:"shown"`
	} `json:"inner"`
}

// keyed makes HMACs with SHA-256.
func keyed(key string) func() hash.Hash {
	return func() hash.Hash { return hmac.New(sha256.New, []byte(key)) }
}

func aLogin() login {
	l := login{User: "ada", Password: "hunter22-hunter22", Token: "t-hunter22", Card: "hunt",
		Answers: map[string]string{"pet": "hunter22"}}
	l.Inner.Secret = []string{"hunter22", "hunter22", "hunter22"}
	return l
}

func TestSecretsOfModels(t *testing.T) {
	t.Parallel()
	e := encoderWith(Options{Hash: keyed("key")})
	text, result := encode(t, e, "in", aLogin())
	want := parse(t, `{"user":"ada","password":"[redacted]","card":null,`+
		`"answers":"[redacted]","inner":{"shown":0}}`)
	got := fields(t, text)
	if card, _ := got["card"].(string); len(card) != 64 || strings.Contains(card, "hunt") {
		t.Errorf("the card is %v, want an HMAC in hex", got["card"])
	}
	want["card"] = got["card"]
	if diff := cmp.Diff(want, got); diff != "" || result.Invalid {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
	other, _ := encode(t, encoderWith(Options{Hash: keyed("other")}), "in", aLogin())
	if got["card"] == fields(t, other)["card"] {
		t.Error("the key does not matter")
	}
	none, _ := encode(t, encoderWith(Options{}), "in", aLogin())
	if got := fields(t, none)["card"]; got != "[redacted]" {
		t.Errorf("without a key the card is %v", got)
	}
}

// A secret is checked as it is, and a record that breaks its schema does not show it.
func TestSecretsThatBreakTheirSchema(t *testing.T) {
	t.Parallel()
	l := aLogin()
	l.Password, l.Token, l.Card, l.Inner.Secret = "hunter22", "hunter22", "hunter22", []string{"hunter22"}
	for _, o := range []Options{{}, {Hash: keyed("key")},
		{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return a }}} {
		text, result := encode(t, encoderWith(o), "in", l)
		if strings.Contains(string(text), "hunter22") || !result.Invalid {
			t.Errorf("%s", text)
		}
		for _, reason := range []string{"password: minLength: must be at least 12 characters\"",
			"token: pattern: must match ^t\"", "card: maxLength",
			"inner.secret: minItems"} {
			if !strings.Contains(string(text), reason) {
				t.Errorf("%s\nlacks %s", text, reason)
			}
		}
	}
}

func TestReplaceAttrReachesFieldsOfModels(t *testing.T) {
	t.Parallel()
	e := encoderWith(Options{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "user":
			return slog.String("who", "***")
		case "shown":
			return slog.Attr{}
		}
		return a
	}})
	text, _ := encode(t, e, "in", aLogin())
	got := fields(t, text)
	if got["user"] != "***" || got["who"] != nil || len(got["inner"].(map[string]any)) != 0 {
		t.Errorf("%s", text)
	}
}

// A nil field is not there, but has to keep what its schema asks of an empty one.
func TestNilFieldsOfModels(t *testing.T) {
	t.Parallel()
	type bag struct {
		Model
		Tags []string         `json:"tags" jsonschema:"minItems=1"`
		Map  map[string][]int `json:"map"`
		P    *int             `json:"p" jsonschema:"minimum=1"`
		In   struct{ P *int } `json:"in"`
		List [][]int          `json:"list"`
		Any  any              `json:"any"`
	}
	text, _ := encode(t, encoderWith(Options{}), "bag", bag{List: [][]int{nil}})
	want := parse(t, `{"in":{},"list":[null],"any":null,"schema_errors":["tags: minItems: must have at least 1 items, `+
		`has 0"]}`)
	if diff := cmp.Diff(want, fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
	type plain struct {
		S []string
		P *int
	}
	text, _ = encode(t, encoderWith(Options{}), "plain", plain{})
	if diff := cmp.Diff(parse(t, `{"plain":{"S":null,"P":null}}`), fields(t, text)); diff != "" {
		t.Errorf("what is no model differs (-want +got):\n%s", diff)
	}
}

// A model with very many violations is moved as a whole, and its reasons are bounded.
func TestManyViolations(t *testing.T) {
	t.Parallel()
	type item struct {
		Name string `json:"name" jsonschema:"minLength=3"`
	}
	type many struct {
		Model
		Items map[string]item `json:"items"`
		Fine  int             `json:"fine"`
	}
	m := many{Items: map[string]item{}, Fine: 1}
	for i := range 2000 {
		m.Items[fmt.Sprint(i)] = item{"x"}
	}
	text, _ := encode(t, encoderWith(Options{}), "m", m)
	got := fields(t, text)
	invalid, _ := got["invalid"].(map[string]any)
	items, _ := invalid["items"].(map[string]any)
	if errors, _ := got["schema_errors"].([]any); len(errors) != 100 || len(items) != 2000 || got["items"] != nil ||
		got["fine"] != nil {
		t.Errorf("%d reasons, %d items in invalid, fields: %v", len(errors), len(items), len(got))
	}
}

// encoderWith returns an encoder with the base fields that the tests know.
func encoderWith(o Options) *Encoder {
	o.Base = fixedBase()
	return NewEncoder(o)
}
