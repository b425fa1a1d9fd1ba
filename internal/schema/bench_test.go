package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
)

// order is a message as services publish them: 12 fields, 8 constraints.
type order struct {
	ID       string    `json:"id" jsonschema:"minLength=8,maxLength=40"`
	Customer string    `json:"customer" jsonschema:"minLength=1"`
	Status   string    `json:"status" jsonschema:"enum=new,enum=paid,enum=shipped"`
	Amount   float64   `json:"amount" jsonschema:"minimum=0"`
	Count    int       `json:"count" jsonschema:"minimum=1,maximum=1000"`
	Tags     []string  `json:"tags" jsonschema:"maxItems=10,uniqueItems=true"`
	Paid     bool      `json:"paid"`
	Time     time.Time `json:"time"`
	Note     *string   `json:"note"`
	Region   string    `json:"region,omitempty"`
	Retries  int       `json:"retries,omitempty"`
	Address  struct {
		Street string `json:"street"`
		City   string `json:"city"`
	} `json:"address"`
}

func anOrder() *order {
	o := &order{ID: "0193b2a0-1111-7222", Customer: "ada", Status: "paid", Amount: 12.5, Count: 3,
		Tags: []string{"a", "b"}, Time: time.Unix(1e9, 5).UTC()}
	o.Address.Street, o.Address.City = "Main Street 1", "Paris"
	return o
}

// event is a small message: 6 fields, 200 bytes, no constraint.
type event struct {
	ID     string `json:"id"`
	User   string `json:"user"`
	Action string `json:"action"`
	Count  int    `json:"count"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func anEvent() *event {
	return &event{
		ID: "0193b2a0-1111-7222-8333-444455556666", User: "ada.lovelace@example.com", Action: "content.published",
		Count: 42, OK: true,
		Detail: "the article was published to the front page and will stay there",
	}
}

// basket has what a small message has inside: a list of structs.
type basket struct {
	ID    string `json:"id"`
	Items []item `json:"items"`
	Total item   `json:"total"`
}

type item struct {
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

func aBasket() *basket {
	return &basket{ID: "0193b2a0", Items: []item{{"tea", 3.25}, {"milk", 1}, {"sugar", 0.99}}, Total: item{"total", 5.24}}
}

// labeled has the maps that messages have.
type labeled struct {
	Labels map[string]string `json:"labels"`
	Values map[string]any    `json:"values"`
}

func aLabeled() *labeled {
	return &labeled{map[string]string{"app": "web", "zone": "b", "team": "content"},
		map[string]any{"a": 1, "b": "two", "c": nil}}
}

var benchmarks = []struct {
	name  string
	value any
}{
	{"6 fields", anEvent()}, {"12 fields", anOrder()}, {"list", aBasket()}, {"maps", aLabeled()},
	{"labels", &aLabeled().Labels},
}

func BenchmarkMarshal(b *testing.B) {
	for _, bb := range benchmarks {
		v := bb.value
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncode writes and checks.
func BenchmarkEncode(b *testing.B) {
	for _, bb := range benchmarks {
		v := bb.value
		b.Run(bb.name, func(b *testing.B) {
			s := must(b, reflect.TypeOf(v))
			w := Writer{Buf: make([]byte, 0, 1024)}
			b.ReportAllocs()
			for b.Loop() {
				w.Buf = w.Buf[:0]
				if err := s.Encode(&w, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWrite only writes.
func BenchmarkWrite(b *testing.B) {
	for _, bb := range benchmarks {
		v := bb.value
		b.Run(bb.name, func(b *testing.B) {
			p := jsonplan.Published().For(reflect.TypeOf(v), nil)
			w := jsonplan.Writer{Buf: make([]byte, 0, 1024)}
			b.ReportAllocs()
			for b.Loop() {
				w.Buf = w.Buf[:0]
				if _, err := p.Write(&w, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkValidate is what the check of ready JSON costs.
func BenchmarkValidate(b *testing.B) {
	s := must(b, reflect.TypeFor[order]())
	data, err := encode(s, nil, anOrder())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Check(bytes.Clone(data)); err != nil {
			b.Fatal(err)
		}
	}
}
