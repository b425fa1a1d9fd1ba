package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type note struct {
	Title string   `json:"title" jsonschema:"minLength=1"`
	N     int64    `json:"n"`
	Tags  []string `json:"tags,omitempty"`
}

// decodeAs decodes one value as a handler of T would get it.
func decodeAs[T any](t *testing.T, value string, validate bool) (T, error) {
	t.Helper()
	decode, err := decoderOf[T](validate)
	if err != nil {
		t.Fatal(err)
	}
	return decode(&Record{Value: []byte(value)})
}

func TestWhatAHandlerGets(t *testing.T) {
	t.Parallel()
	const value = `{"schema":"Note:2","data":{"title":"a","n":9007199254740993},"id":"x"}`
	whole := func(data string) string { return `{"schema":"Note:2","data":` + data + `}` }
	t.Run("a struct", func(t *testing.T) { gets(t, value, note{Title: "a", N: 9007199254740993}) })
	t.Run("a pointer", func(t *testing.T) { gets(t, value, &note{Title: "a", N: 9007199254740993}) })
	t.Run("a struct without data's keys", func(t *testing.T) { gets(t, whole(`{}`), note{}) })
	t.Run("a slice", func(t *testing.T) { gets(t, whole(`[1,2]`), []int{1, 2}) })
	t.Run("an array", func(t *testing.T) { gets(t, whole(`[1,2]`), [2]int{1, 2}) })
	t.Run("a text", func(t *testing.T) { gets(t, whole(`"\u00e4"`), "ä") })
	t.Run("a number", func(t *testing.T) { gets(t, whole(`-3`), -3) })
	t.Run("a truth", func(t *testing.T) { gets(t, whole(`true`), true) })
	t.Run("a time", func(t *testing.T) {
		gets(t, whole(`"2026-11-23T12:00:00Z"`), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	})
	t.Run("a map with a type", func(t *testing.T) { gets(t, whole(`{"a":1}`), map[string]int{"a": 1}) })
	t.Run("a named map", func(t *testing.T) { gets(t, whole(`{"a":1}`), labels{"a": 1.0}) })
	t.Run("raw JSON", func(t *testing.T) { gets(t, whole(` {"a" : 1} `), json.RawMessage(`{"a" : 1}`)) })
	t.Run("raw null", func(t *testing.T) { gets(t, whole(`null`), json.RawMessage(`null`)) })
	t.Run("the whole message", func(t *testing.T) {
		gets(t, value, map[string]any{"schema": "Note:2", "data": map[string]any{"title": "a", "n": 9007199254740992.0},
			"id": "x"})
	})
	t.Run("the whole message without data", func(t *testing.T) { gets(t, `{"a":[]}`, map[string]any{"a": []any{}}) })
	t.Run("the value", func(t *testing.T) { gets(t, "no JSON\xff", []byte("no JSON\xff")) })
	t.Run("anything", func(t *testing.T) {
		if got, err := decodeAs[any](t, whole(`[1,"a"]`), false); err != nil || !cmp.Equal(got, any([]any{1.0, "a"})) {
			t.Errorf("got %v, %v", got, err)
		}
	})

	t.Run("nil for null", func(t *testing.T) {
		gets(t, whole(`null`), (*note)(nil))
		gets(t, whole(`null`), []string(nil))
		gets(t, whole(`null`), map[string]int(nil))
		if got, err := decodeAs[any](t, whole(`null`), false); err != nil || got != nil {
			t.Errorf("any: got %v, %v", got, err)
		}
		m, err := decodeAs[*Message[*note]](t, whole(`null`), false)
		if err != nil || m.Data != nil || m.Schema != "Note:2" {
			t.Errorf("message: got %+v, %v", m, err)
		}
	})

	t.Run("nil for a tombstone", func(t *testing.T) {
		if got, err := Decode[*note](new(Record)); err != nil || got != nil {
			t.Errorf("pointer: got %v, %v", got, err)
		}
		r := &Record{Key: []byte("k")}
		if m, err := Decode[*Message[*note]](r); err != nil || m.Data != nil || m.Schema != "" || m.Record != r {
			t.Errorf("message: got %+v, %v", m, err)
		}
		for _, err := range []error{
			second(Decode[note](r)), second(Decode[*Message[note]](r)), second(Decode[map[string]int](r)),
			second(Decode[any](r)),
		} {
			if err == nil || !strings.Contains(err.Error(), "the value is empty") {
				t.Errorf("no pointer: got %v", err)
			}
		}
		empty := &Record{Value: []byte{}}
		if _, err := Decode[*note](empty); err == nil {
			t.Error("an empty value is no tombstone, and was decoded")
		}
	})

	t.Run("the record", func(t *testing.T) {
		r := &Record{Offset: 7}
		decode, err := decoderOf[*Record](false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(r); err != nil || got != r {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("a tombstone's value", func(t *testing.T) {
		decode, err := decoderOf[[]byte](false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(&Record{}); err != nil || got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("a message", func(t *testing.T) {
		m, err := decodeAs[*Message[note]](t, value, false)
		if err != nil || m.Schema != "Note:2" || m.Data.N != 9007199254740993 || string(m.Record.Value) != value {
			t.Errorf("got %+v, %v", m, err)
		}
	})
	t.Run("a message of the data's bytes", func(t *testing.T) {
		m, err := decodeAs[*Message[[]byte]](t, whole(`{"a" : 1}`), false)
		if err != nil || string(m.Data) != `{"a" : 1}` {
			t.Errorf("got %+v, %v", m, err)
		}
	})
	t.Run("a message of a map", func(t *testing.T) {
		m, err := decodeAs[*Message[map[string]any]](t, whole(`{"a" : 1}`), false)
		if err != nil || !cmp.Equal(m.Data, map[string]any{"a": 1.0}) {
			t.Errorf("got %+v, %v", m, err)
		}
	})
	t.Run("a message without a schema", func(t *testing.T) {
		m, err := decodeAs[*Message[int]](t, `{"data":1,"schema":null}`, false)
		if err != nil || m.Schema != "" || m.Data != 1 {
			t.Errorf("got %+v, %v", m, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

type labels map[string]any

func gets[T any](t *testing.T, value string, want T) {
	t.Helper()
	got, err := decodeAs[T](t, value, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	isNull := func(typ string) string {
		return "decode data into " + typ + ": it is null; a handler that takes a pointer gets nil then"
	}
	for _, test := range []struct {
		name   string
		decode func(*testing.T, string) error
		value  string
		want   string // begins the error
	}{
		{"no envelope", fails[note], `nope`, "envelope: not JSON at byte 0"},
		{"a list", fails[note], `[1]`, "envelope: at byte 0: the value is not a JSON object"},
		{"a tombstone", fails[note], ``, "envelope: the value is empty"},
		{"no data", fails[note], `{"schema":"A:1"}`, "the value has no data: it should be an envelope"},
		{"no data for a pointer", fails[*note], `{}`, "the value has no data"},
		{"no data for raw JSON", fails[json.RawMessage], `{}`, "the value has no data"},
		{"another type", fails[note], `{"data":"x"}`, "decode data into bus.note: json: cannot unmarshal string"},
		{"a slice without Batch", fails[[]note], `{"data":{"n":1}}`, "decode data into []bus.note: json: cannot unmarshal " +
			"object into Go value of type []bus.note (a handler of many records at once needs the option bus.Batch)"},
		{"another type in a field", fails[note], `{"data":{"n":"9"}}`, "decode data into bus.note: json: cannot unmarshal " +
			"string into Go struct field note.n of type int64"},
		{"null for a struct", fails[note], `{"data":null}`, isNull("bus.note")},
		{"null for a number", fails[int], `{"data":null}`, isNull("int")},
		{"null for a text", fails[string], `{"data":null}`, isNull("string")},
		{"null for a truth", fails[bool], `{"data":null}`, isNull("bool")},
		{"null for an array", fails[[2]int], `{"data":null}`, isNull("[2]int")},
		{"null for a type with its own JSON", fails[time.Time], `{"data":null}`, isNull("time.Time")},
		{"null for a message", fails[*Message[note]], `{"data":null}`, isNull("bus.note")},
		{"a message's data", fails[*Message[int]], `{"data":"x"}`, "decode data into int: json: cannot unmarshal string"},
		{"no envelope for a message", fails[*Message[int]], `[]`, "envelope: at byte 0"},
		{"no data for a message", fails[*Message[[]byte]], `{}`, "the value has no data"},
		{"no object for a map", fails[map[string]any], `null`, "envelope: at byte 0: the value is not a JSON object"},
		{"half a surrogate pair in a map", fails[map[string]any], `{"data":"\ud800"}`, "envelope: not Unicode at byte 9"},
		{"half a surrogate pair in raw JSON", fails[json.RawMessage], `{"data":"\ud800"}`, "envelope: not Unicode at byte 9"},
		{"a number too large for a map", fails[map[string]any], `{"data":1e999}`,
			"decode the value: json: cannot unmarshal number 1e999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.decode(t, test.value); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("\n got %v\nwant %s", err, test.want)
			}
		})
	}
}

func fails[T any](t *testing.T, value string) error {
	t.Helper()
	v, err := decodeAs[T](t, value, false)
	if !reflect.ValueOf(&v).Elem().IsZero() {
		t.Errorf("%+v beside the error", v)
	}
	return err
}

func TestWhatNoHandlerCanTake(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"a record by value", refusal[Record](false), "a record is handed on by its address: take a *bus.Record"},
		{"a message by value", refusal[Message[int]](false), "bus.Message[int] is no data: take a *bus.Message[X], X being " +
			"the type of the data"},
		{"a type around a message", refusal[*struct{ Message[int] }](false),
			"*struct { bus.Message[int] } is no data: take a *bus.Message[X], X being the type of the data"},
		{"a message of a message", refusal[*Message[*Message[int]]](false), "*bus.Message[int] is no data: take a " +
			"*bus.Message[X], X being the type of the data"},
		{"a message of a record", refusal[*Message[*Record]](false), "a bus.Message has its record in the field Record: " +
			"its type argument is the type of the data"},
		{"a channel", refusal[chan int](false), "JSON cannot be decoded into chan int: take a struct"},
		{"a function", refusal[func()](false), "JSON cannot be decoded into func(): take a struct"},
		{"a complex number", refusal[complex64](false), "JSON cannot be decoded into complex64: take a struct"},
		{"a pointer to a function", refusal[*func()](false), "JSON cannot be decoded into *func(): take a struct"},
		{"a pointer to a pointer", refusal[**note](false), "JSON cannot be decoded into **bus.note: take a struct"},
		{"an error", refusal[error](false), "JSON cannot be decoded into the interface error: take a struct, or any"},
		{"an interface", refusal[io.Reader](false), "JSON cannot be decoded into the interface io.Reader: take a struct, " +
			"or any"},
		{"a message of an error", refusal[*Message[error]](false), "JSON cannot be decoded into the interface error: take " +
			"a struct, or any"},
		{"Validate with bytes", refusal[[]byte](true), "option Validate checks data, and []uint8 is not data: take a " +
			"struct, or a *bus.Message of one"},
		{"Validate with a record", refusal[*Record](true), "option Validate checks data, and *bus.Record is not data: take " +
			"a struct, or a *bus.Message of one"},
		{"Validate with a map", refusal[map[string]any](true), "option Validate checks data, and map[string]interface {} " +
			"is not data: take a struct, or a *bus.Message of one"},
		{"Validate with raw JSON", refusal[json.RawMessage](true), "option Validate has nothing to check in " +
			"json.RawMessage: take a struct"},
		{"Validate with a message of bytes", refusal[*Message[[]byte]](true),
			"option Validate has nothing to check in []uint8: take a struct"},
		{"Validate with anything", refusal[any](true), "option Validate has nothing to check in interface {}: take a struct"},
		{"Validate with a bad tag", refusal[badTag](true), "option Validate: schema: type bus.badTag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.err == nil || !strings.HasPrefix(test.err.Error(), test.want) {
				t.Errorf("\n got %v\nwant %s", test.err, test.want)
			}
		})
	}
}

type badTag struct {
	N int `json:"n" jsonschema:"minLength=1"`
}

func refusal[T any](validate bool) error {
	_, err := decoderOf[T](validate)
	return err
}

func TestValidatedData(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data  string
		field, rule string // of the violation; "" = there is none
	}{
		{"good", `{"title":"a","n":1}`, "", ""},
		{"more than is known", `{"title":"a","n":1,"more":[]}`, "", ""},
		{"missing", `{"title":"a"}`, "n", "required"},
		{"too short", `{"title":"","n":1}`, "title", "minLength"},
		{"another type", `{"title":"a","n":"1"}`, "n", "type"},
		{"null in a field", `{"title":null,"n":1}`, "title", "type"},
		{"no object", `[]`, "", "type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			value := `{"schema":"Note:1","data":` + test.data + `}`
			_, err := decodeAs[note](t, value, true)
			_, messageErr := decodeAs[*Message[*note]](t, value, true)
			for _, err := range []error{err, messageErr} {
				invalid, ok := errors.AsType[*ValidationError](err)
				switch {
				case test.rule == "" && err == nil:
				case !ok:
					t.Errorf("got %v", err)
				case invalid.Field != test.field || invalid.Rule != test.rule || !strings.HasSuffix(invalid.Schema, "bus.note"):
					t.Errorf("got %s, %s, %s; want %s, %s", invalid.Schema, invalid.Field, invalid.Rule, test.field, test.rule)
				}
			}
		})
	}
	if n, err := decodeAs[*note](t, `{"data":null}`, true); n != nil || err != nil {
		t.Errorf("null for a pointer is %v, %v, want nil", n, err)
	}
}

func TestAMessageBelongsToItsHandler(t *testing.T) {
	t.Parallel()
	decode, err := decoderOf[*Message[[]int]](false)
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{Value: []byte(`{"data":[1,2,3]}`)}
	first, err := decode(r)
	if err != nil {
		t.Fatal(err)
	}
	first.Data[0] = 100
	if second, err := decode(r); err != nil || second == first || second.Data[0] != 1 {
		t.Errorf("got %+v, %v", second, err)
	}
}

func TestADecoderServesManyLanes(t *testing.T) {
	t.Parallel()
	decode, err := decoderOf[*Message[int]](false)
	if err != nil {
		t.Fatal(err)
	}
	var lanes sync.WaitGroup
	for lane := range 4 {
		lanes.Go(func() {
			for n := range 200 {
				want := fmt.Sprintf("S%d:%d", lane, n/50)
				m, err := decode(&Record{Value: fmt.Appendf(nil, `{"schema":%q,"data":%d}`, want, n)})
				if err != nil || m.Schema != want || m.Data != n {
					t.Errorf("got %+v, %v; want %s, %d", m, err, want, n)
				}
			}
		})
	}
	lanes.Wait()
}

func TestDecodersAllocateOnlyWhatTheyReturn(t *testing.T) {
	r := &Record{Value: []byte(`{"schema":"Note:1","data":{"title":"a"}}`)}
	for _, test := range []struct {
		name   string
		decode func()
		want   float64
	}{
		{"the value", decodesOnce[[]byte](t, r), 0},
		{"the record", decodesOnce[*Record](t, r), 0},
		{"raw JSON", decodesOnce[json.RawMessage](t, r), 1},
		{"a message of raw JSON", decodesOnce[*Message[json.RawMessage]](t, r), 1},
		{"a message of bytes", decodesOnce[*Message[[]byte]](t, r), 1},
	} {
		if got := testing.AllocsPerRun(100, test.decode); got > test.want {
			t.Errorf("%s: %v allocations, want %v", test.name, got, test.want)
		}
	}
}

func decodesOnce[T any](t testing.TB, r *Record) func() {
	decode, err := decoderOf[T](false)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := decode(r); err != nil {
			t.Error(err)
		}
	}
}

func TestAMessageThatWasNotDelivered(t *testing.T) {
	t.Parallel()
	m := &Message[note]{Data: note{Title: "a"}, Record: new(Record)}
	const missing = "this Message was not delivered by a subscription: use the one that the handler was given; " +
		"a test that calls the handler itself gives it a bustest.Message and its Context"
	if err := m.Commit(t.Context()); !errors.Is(err, errNotDelivered) || err.Error() != "bus: commit: "+missing {
		t.Errorf("commit: %v", err)
	}
	err := m.Forward(t.Context(), "elsewhere")
	if !errors.Is(err, errNotDelivered) || err.Error() != `bus: forward to stream "elsewhere": `+missing {
		t.Errorf("forward: %v", err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	r := &Record{Topic: "app.s", Partition: 2, Offset: 7, Value: []byte(`{"schema":"Note:1","data":{"title":"a"}}`)}
	if n, err := Decode[note](r); err != nil || n.Title != "a" {
		t.Errorf("got %+v, %v", n, err)
	}
	m, err := Decode[*Message[note]](r)
	if err != nil || m.Schema != "Note:1" || m.Record != r {
		t.Errorf("got %+v, %v", m, err)
	}
	if err := m.Commit(t.Context()); !errors.Is(err, errNotDelivered) {
		t.Errorf("commit: %v", err)
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{second(Decode[int](r)), "bus: decode app.s/2@7: decode data into int: "},
		{second(Decode[chan int](r)), "bus: decode: JSON cannot be decoded into chan int: take a struct"},
		{second(Decode[note](nil)), "bus: decode: the record is nil"},
	} {
		if test.err == nil || !strings.HasPrefix(test.err.Error(), test.want) {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
}
