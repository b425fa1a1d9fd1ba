package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
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
	o := &order{ID: "0193b2a0-1111-7222", Customer: "ada", Status: "paid", Amount: 12.5, Count: 3, Tags: []string{"a", "b"}, Time: time.Unix(1e9, 5).UTC()}
	o.Address.Street, o.Address.City = "Main Street 1", "Paris"
	return o
}

func BenchmarkMarshal(b *testing.B) {
	o := anOrder()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s, o := must(b, reflect.TypeFor[order]()), anOrder()
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(dst, o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValidate is what a value costs that the plan cannot prove.
func BenchmarkValidate(b *testing.B) {
	s := must(b, reflect.TypeFor[order]())
	data, err := s.Append(nil, anOrder())
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
