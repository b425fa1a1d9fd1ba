package contract

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// TestOnlyWhatSubscriptionsCanReadIsPublished has lines that encoding/json takes for valid.
func TestOnlyWhatSubscriptionsCanReadIsPublished(t *testing.T) {
	t.Parallel()
	head, err := envelopeHead("Content:1")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		head []byte
		line string
		want bool
	}{
		{"an envelope", nil, `{"data":null,"schema":"Content:1"}`, true},
		{"names in other letters", nil, `{"Schema":"Content:1","DATA":{}}`, false},
		{"no version", nil, `{"schema":"Content","data":{}}`, false},
		{"no data", nil, `{"schema":"Content:1"}`, false},
		{"no object", nil, `[]`, false},
		{"an envelope that is no UTF-8", nil, "{\"schema\":\"Content:1\",\"data\":\"\xff\"}", false},
		{"data", head, `{"a":"\u00e9"}`, true},
		{"data that are no UTF-8", head, "\"\xff\"", false},
		{"half of a surrogate pair", head, `"\ud800"`, false},
	}
	for _, test := range tests {
		f := form{head: test.head}
		if value, err := f.value([]byte(test.line)); (err == nil) != test.want {
			t.Errorf("%s: %s, %v; want a value: %t", test.name, value, err, test.want)
		}
	}
}

// Whoever goes on where publish was interrupted has to know how far it came.
func TestPublishSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	var errs bytes.Buffer
	in := io.MultiReader(strings.NewReader("no JSON\n"), iotest.ErrReader(broken))
	p := &publish{streams: cli.Streams{In: in, Err: &errs}}
	if err := p.run(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if !strings.HasSuffix(errs.String(), "\nkafkaesk: 0 published, 1 invalid\n") {
		t.Errorf("standard error:\n%s", &errs)
	}
}
