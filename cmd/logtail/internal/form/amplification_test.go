package form

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// A record of twice the size is printed in at most twice the bytes, and with twice the memory, in every form. The test
// is not parallel: it counts what is allocated.
func TestOutputIsNotAmplified(t *testing.T) {
	template, err := ParseTemplate("{time} {level} {message} {a.b} {k} {stream}", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	printers := map[string]Printer{
		"json": JSON(true, Selection{}), "json of fields": JSON(true, Selection{Fields: []string{"a", "g.k"}}),
		"json without": JSON(true, Selection{Hide: []string{"a", "g.k"}}),
		"pretty":       people(true), "raw": Raw(true), "template": template,
	}
	data := func(s string) *wire.Record { return at(`{"schema":"L:1","data":` + s + `}`) }
	shapes := map[string]func(n int) *wire.Record{
		"a long key over many members": func(n int) *wire.Record {
			return data(`{"` + strings.Repeat("k", n) + `":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}`)
		},
		"repeated keys": func(n int) *wire.Record { return data("{" + strings.Repeat(`"a":1,`, n) + `"b":2}`) },
		"reserved keys": func(n int) *wire.Record {
			return data("{" + strings.Repeat(`"_topic":1,`, n) + `"attr__topic":2}`)
		},
		"groups": func(n int) *wire.Record { return data("{" + strings.Repeat(`"g":{"k":{"a":1}},`, n) + `"b":2}`) },
		"deep nesting": func(n int) *wire.Record {
			return data(strings.Repeat(`{"a":`, n/2) + "1" + strings.Repeat("}", n/2))
		},
		"big exponents":   func(n int) *wire.Record { return data(`{"a":[` + strings.Repeat("1e999999,", n) + "1]}") },
		"controls":        func(n int) *wire.Record { return data(`{"message":"` + strings.Repeat(`\u001b`, n) + `"}`) },
		"half pairs":      func(n int) *wire.Record { return data(`{"message":"` + strings.Repeat(`\ud83d`, n) + `"}`) },
		"lines":           func(n int) *wire.Record { return data(`{"stack":"` + strings.Repeat(`\n\t`, n) + `"}`) },
		"what is no JSON": func(n int) *wire.Record { return at(strings.Repeat("\xff\x1b", n)) },
		"equal headers": func(n int) *wire.Record {
			r := data("{}")
			r.Headers = make([]wire.Header, n)
			return r
		},
		"different headers": func(n int) *wire.Record {
			r := data("{}")
			for i := range n {
				r.Headers = append(r.Headers, wire.Header{Name: strconv.Itoa(i)})
			}
			return r
		},
		"a binary header and key": func(n int) *wire.Record {
			r := data("{}")
			r.Key = []byte(strings.Repeat("\xff", n))
			r.Headers = []wire.Header{{Name: strings.Repeat("\x1b", n), Value: r.Key}}
			return r
		},
	}
	const n, constant = 5_000, 64 << 10
	for output, printer := range printers {
		for name, shape := range shapes {
			t.Run(output+"/"+name, func(t *testing.T) {
				cost := func(n int) (printed int, allocated uint64) {
					r := shape(n)
					var out []byte
					allocated = testkit.AllocatedBytes(func() {
						var o entry.Opener
						out = printer.Append(nil, o.Open(r))
					})
					return len(out), allocated
				}
				cost(n) // what is kept for the next record is there
				printed, allocated := cost(n)
				more, moreAllocated := cost(2 * n)
				// Memory that grows by doubling may take a step more for 2n than for n.
				if more > 2*printed+constant || moreAllocated > 3*allocated+1<<18 || printed > 64*n+constant {
					t.Errorf("%d bytes from %d bytes of memory for n, %d from %d for 2n", printed, allocated, more, moreAllocated)
				}
			})
		}
	}
}

// Headers are not compared with each other: here that would be 10^12 comparisons, which the test's time does not allow.
func TestAMillionHeadersAreOnePass(t *testing.T) {
	t.Parallel()
	r := at("{}")
	r.Headers = make([]wire.Header, 1_000_000)
	if out := print(JSON(true, Selection{}), r); strings.Count(out, "null") != len(r.Headers) {
		t.Errorf("%d values are printed", strings.Count(out, "null"))
	}
}
