package bench

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// smallEvent is a small message without constraints.
type smallEvent struct {
	ID     string `json:"id"`
	User   string `json:"user"`
	Action string `json:"action"`
	Count  int    `json:"count"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// fullOrder is a message as services publish them: 12 fields, 8 constraints.
type fullOrder struct {
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
	Address  address   `json:"address"`
}

type address struct {
	Street string `json:"street"`
	City   string `json:"city"`
}

// orderItems is a message with a list of structs.
type orderItems struct {
	ID    string      `json:"id"`
	Items []orderItem `json:"items"`
}

type orderItem struct {
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

// labels is a message of maps.
type labels struct {
	Labels map[string]string `json:"labels"`
	Values map[string]any    `json:"values"`
}

// A request by what is checked of it: nothing, what tables and comparisons know, a regular expression that is no table.
type (
	plainRequest struct {
		User   string `json:"user"`
		Path   string `json:"path"`
		Method string `json:"method"`
		Status int    `json:"status"`
	}
	checkedRequest struct {
		User   string `json:"user" jsonschema:"minLength=1,maxLength=100"`
		Path   string `json:"path" jsonschema:"pattern=^/[a-z/]+$"`
		Method string `json:"method" jsonschema:"enum=GET,enum=POST"`
		Status int    `json:"status" jsonschema:"minimum=100,maximum=599"`
	}
	matchedRequest struct {
		User   string `json:"user"`
		Path   string `json:"path" jsonschema:"pattern=\\bcontent\\b"`
		Method string `json:"method"`
		Status int    `json:"status"`
	}
)

// BenchmarkEncode compares what App.Publish does to a value, encoding and validation, with encoding/json, and with
// encoding/json and jsonschema/v5 behind it, which decodes the JSON. Figures are CPU time of the thread, the shortest
// of many short rounds in turns.
func BenchmarkEncode(b *testing.B) {
	order := &fullOrder{ID: "0193b2a0-1111-7222", Customer: "ada", Status: "paid", Amount: 12.5, Count: 3,
		Tags: []string{"a", "b"}, Time: time.Unix(1e9, 5).UTC(), Address: address{"Main Street 1", "Paris"}}
	for name, v := range map[string]any{
		"6 fields": &smallEvent{ID: "0193b2a0-1111-7222-8333-444455556666", User: "ada.lovelace@example.com",
			Action: "content.published", Count: 42, OK: true,
			Detail: "the article was published to the front page and will stay there"},
		"12 fields": order,
		"list":      &orderItems{"0193b2a0", []orderItem{{"tea", 3.25}, {"milk", 1}, {"sugar", 0.99}}},
		"maps": &labels{map[string]string{"app": "web", "zone": "b", "team": "content"},
			map[string]any{"a": 1, "b": "two", "c": nil}},
	} {
		b.Run(name, func(b *testing.B) { compareEncoders(b, v) })
	}
	b.Run("validation", compareChecks)
}

func compareEncoders(b *testing.B, v any) {
	ours := encoderOf(b, v)
	s, err := schema.For(reflect.TypeOf(v))
	if err != nil {
		b.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema:///x", bytes.NewReader(s.JSON())); err != nil {
		b.Fatal(err)
	}
	v5 := c.MustCompile("schema:///x")
	standard := func() []byte {
		out, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	pair := func() {
		in := json.NewDecoder(bytes.NewReader(standard()))
		in.UseNumber()
		var decoded any
		if err := in.Decode(&decoded); err != nil {
			b.Fatal(err)
		}
		if err := v5.Validate(decoded); err != nil {
			b.Fatal(err)
		}
	}
	times := shortest(b, ours, func() { standard() }, pair)
	b.ReportMetric(times[0], "ns")
	b.ReportMetric(times[0]/times[1], "of-encoding/json")
	b.ReportMetric(times[0]/times[2], "of-json-and-v5")
}

// compareChecks measures what the constraints of a value cost beyond its encoding.
func compareChecks(b *testing.B) {
	times := shortest(b,
		encoderOf(b, &plainRequest{"ada.lovelace", "/content/articles", "GET", 200}),
		encoderOf(b, &checkedRequest{"ada.lovelace", "/content/articles", "GET", 200}),
		encoderOf(b, &matchedRequest{"ada.lovelace", "/content/articles", "GET", 200}))
	b.ReportMetric(times[1]-times[0], "tables-ns")
	b.ReportMetric(times[2]-times[0], "regexp-ns")
}

func encoderOf(b *testing.B, v any) func() {
	s, err := schema.For(reflect.TypeOf(v))
	if err != nil {
		b.Fatal(err)
	}
	w := schema.Writer{Buf: make([]byte, 0, 1024)}
	return func() {
		w.Buf = w.Buf[:0]
		if err := s.Encode(&w, v); err != nil {
			b.Fatal(err)
		}
	}
}

// shortest returns the nanoseconds that a call of each function takes.
func shortest(b *testing.B, all ...func()) []float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds, calls = 400, 100
	times := make([]float64, len(all))
	for round := range rounds {
		for i, f := range all {
			start := threadTime(b)
			for range calls {
				f()
			}
			if t := float64(threadTime(b)-start) / calls; round == 0 || t < times[i] {
				times[i] = t
			}
		}
	}
	for b.Loop() { // the measurement is above
	}
	b.ReportMetric(0, "ns/op")
	return times
}
