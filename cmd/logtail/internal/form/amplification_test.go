package form

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// hostileRecords are records of size n.
var hostileRecords = map[string]func(n int) *wire.Record{
	"a long key over many members": func(n int) *wire.Record {
		return dataOf(`{"` + strings.Repeat("k", n) + `":{` + members(n) + `}}`)
	},
	"long keys in each other": func(n int) *wire.Record {
		long := `{"` + strings.Repeat("k", n/4) + `":`
		return dataOf(strings.Repeat(long, 4) + "{" + members(n) + "}" + strings.Repeat("}", 4))
	},
	"a long key over equal members": func(n int) *wire.Record {
		return dataOf(`{"` + strings.Repeat("k", n) + `":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}`)
	},
	"many members": func(n int) *wire.Record { return dataOf("{" + members(n) + "}") },
	"repeated keys": func(n int) *wire.Record {
		return dataOf("{" + strings.Repeat(`"a":1,`, n) + `"b":2}`)
	},
	"reserved keys": func(n int) *wire.Record {
		return dataOf("{" + strings.Repeat(`"_topic":1,`, n) + `"attr__topic":2}`)
	},
	"groups": func(n int) *wire.Record {
		return dataOf("{" + strings.Repeat(`"g":{"k":{"a":1}},`, n) + `"b":2}`)
	},
	"deep nesting": func(n int) *wire.Record {
		return dataOf(strings.Repeat(`{"a":`, n/2) + "1" + strings.Repeat("}", n/2))
	},
	"big exponents": func(n int) *wire.Record { return dataOf(`{"a":[` + strings.Repeat("1e999999,", n) + "1]}") },
	"controls":      func(n int) *wire.Record { return dataOf(`{"message":"` + strings.Repeat(`\u001b`, n) + `"}`) },
	"half pairs":    func(n int) *wire.Record { return dataOf(`{"message":"` + strings.Repeat(`\ud83d`, n) + `"}`) },
	"lines":         func(n int) *wire.Record { return dataOf(`{"stack":"` + strings.Repeat(`\n\t`, n) + `"}`) },
	"what is no JSON": func(n int) *wire.Record {
		return at(strings.Repeat("\xff\x1b", n))
	},
	"equal headers": func(n int) *wire.Record {
		r := dataOf("{}")
		r.Headers = make([]wire.Header, n)
		return r
	},
	"different headers": func(n int) *wire.Record {
		r := dataOf("{}")
		for i := range n {
			r.Headers = append(r.Headers, wire.Header{Name: strconv.Itoa(i)})
		}
		return r
	},
	"a binary header and key": func(n int) *wire.Record {
		r := dataOf("{}")
		r.Key = []byte(strings.Repeat("\xff", n))
		r.Headers = []wire.Header{{Name: strings.Repeat("\x1b", n), Value: r.Key}}
		return r
	},
}

func dataOf(s string) *wire.Record { return at(`{"schema":"L:1","data":` + s + `}`) }

// members are n members of an object whose names differ.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":1,`, i)
	}
	return b.String() + `"last":1`
}

func hostilePrinters(t *testing.T) map[string]Printer {
	t.Helper()
	template, err := ParseTemplate("{time} {level} {message} {a.b} {k} {stream}", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Printer{
		"json": JSON(true, Selection{}), "json of fields": JSON(true, Selection{Fields: []string{"a", "g.k"}}),
		"json without": JSON(true, Selection{Hide: []string{"a", "g.k"}}),
		"pretty":       people(true), "raw": Raw(true), "template": template,
	}
}

// A record of twice the size is printed in at most twice the bytes, with twice the memory and in twice the steps, in
// every form. The test is not parallel: it counts what is allocated.
func TestOutputIsNotAmplified(t *testing.T) {
	const n, constant = 5_000, 64 << 10
	for output, printer := range hostilePrinters(t) {
		for name, shape := range hostileRecords {
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
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 1000, 40, func(n int) (bytes int) {
			for _, printer := range hostilePrinters(t) {
				for _, shape := range hostileRecords {
					r := shape(n)
					var o entry.Opener
					printer.Append(nil, o.Open(r))
					bytes += r.Memory()
				}
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/cmd/logtail/internal/...", "github.com/kafkaesk/kafkaesk/internal/...",
			"encoding/json")
	})
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
