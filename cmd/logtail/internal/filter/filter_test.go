package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const shop = `{"schema":"LogRecord:1","data":{"timestamp":"2026-11-23T10:00:00Z","severity":"ERROR","level":40,` +
	`"message":"no \"luck\"","service":"shop","user":"ada","status":503,"share":0.5,"ok":true,"none":null,"id":"42",` +
	`"order":{"id":7,"at":{"x":"y"}},"a.b":1,"caf\u00e9":"\u00fc"}}`

func open(value string) *entry.Entry {
	return new(entry.Opener).Open(&wire.Record{Value: []byte(value), Time: time.UnixMilli(1)})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	e := open(shop)
	for text, want := range map[string]bool{
		"user=ada": true, "user=Ada": false, "user!=ada": false, "user!=bob": true, "user = ada": true, "nobody=ada": false,
		"nobody!=ada": true,
		"status=503":  true, "status=503.0": true, "status>=500": true, "status>503": false, "status<=503": true,
		"status<1e3": true,
		"share=.5":   true, "ok=true": true, "none=null": true, "id>40": true, "id=42": true, "user>1": false,
		"nobody<1": false,
		"user~^a":  true, "user!~^a": false, "status~^5": true, "nobody~.": false, "nobody!~.": true,
		"order.id=7": true, "order.at.x=y": true, "order.at.y=y": false, "a.b=1": true, "café=ü": true, "café~ü": true,
		`message=no "luck"`: true,
		"user=a=b":          false,
	} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.holds(e.Find(c.path)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	for _, text := range []string{"", "user", "=ada", "status>much", "path~(", ">=1"} {
		if _, err := ParseCondition(text); err == nil {
			t.Errorf("%q is taken for a condition", text)
		}
	}
}

func TestGrep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expression, literal string
		want                bool
	}{
		{"luck", "luck", true}, {`no "luck"`, "", true}, {"bad luck", "bad luck", false}, {"(?i)LUCK", "", true},
		{"l.*k", "l", true},
		{"shop|bank", "", true}, {`"status":50\d`, "", true}, {"ü", "ü", true}, {"(error)+s?", "error", false},
		{"^", "", true}, {"ord(er)", "ord", true},
	} {
		g, err := NewGrep(test.expression)
		if err != nil {
			t.Fatal(err)
		}
		e := open(shop)
		f := Filter{Grep: g}
		if string(g.literal) != test.literal || f.Check(e) == Pass != test.want || f.Excludes(e.Record) && test.want {
			t.Errorf("%s: literal %q, %v, excluded %v", test.expression, g.literal, f.Check(e), f.Excludes(e.Record))
		}
	}
	g, _ := NewGrep("needle")
	f := Filter{Grep: g}
	if !f.Excludes(&wire.Record{Value: []byte("hay")}) ||
		f.Excludes(&wire.Record{Value: []byte("hay"), Key: []byte("needle")}) ||
		f.Excludes(&wire.Record{Value: []byte(`"\u006eeedle"`)}) {
		t.Error("what is looked for before a record is opened is not what may match")
	}
}

func TestSinceAndUntil(t *testing.T) {
	t.Parallel()
	e := open(shop)
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixNano()
	for _, test := range []struct {
		since, until int64
		want         Outcome
	}{{at, at + 1, Pass}, {at + 1, 0, Reject}, {0, at, Reject}} {
		f := Filter{Since: test.since, Until: test.until}
		if got := f.Check(e); got != test.want {
			t.Errorf("since %d until %d: %v", test.since, test.until, got)
		}
	}
	f := Filter{Since: at}
	if got := f.Check(new(entry.Opener).Open(&wire.Record{Time: time.UnixMilli(-1)})); got != Pass {
		t.Error("a record without a time does not pass")
	}
}

// Regular expressions are left out: their memory is pooled, and the race detector empties pools at random.
func TestFiltersAllocateNothing(t *testing.T) {
	value := strings.NewReplacer(`no \"luck\"`, "no luck", `caf\u00e9`, "caf", `\u00fc`, "u").Replace(shop)
	r := &wire.Record{Value: []byte(value), Time: time.UnixMilli(1)}
	level, _, _ := Level("error")
	f := Filter{Level: &level, Since: 1, Trace: ""}
	for _, text := range []string{"user=ada", "status>=500", "order.at.x=y", "share<1"} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		f.Fields = append(f.Fields, c)
	}
	var o entry.Opener
	if f.Check(o.Open(r)) != Pass {
		t.Fatal("the record does not pass")
	}
	if n := testing.AllocsPerRun(100, func() {
		if !f.Excludes(r) {
			f.Check(o.Open(r))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(shop), "order.at.x=y", "l.*k")
	f.Add([]byte(`{"schema":"x","data":{"a":{"a.b":{}}}}`), "a.a.b=1", "")
	f.Fuzz(func(t *testing.T, value []byte, condition, expression string) {
		c, err := ParseCondition(condition)
		if err != nil {
			return
		}
		g, err := NewGrep(expression)
		if err != nil {
			return
		}
		r := &wire.Record{Value: value}
		all, grep := Filter{Fields: []Condition{c}}, Filter{Grep: g}
		e := new(entry.Opener).Open(r)
		all.Check(e)
		if grep.Excludes(r) && grep.Check(e) == Pass {
			t.Errorf("%q matches %q and is excluded", value, expression)
		}
	})
}
