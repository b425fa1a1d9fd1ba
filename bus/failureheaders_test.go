package bus

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestEveryTimeOfARecordHasAText(t *testing.T) {
	t.Parallel()
	for ms, want := range map[int64]string{
		0:                   "1970-01-01T00:00:00Z",
		-1:                  "", // Kafka's word for no time
		-2:                  "1969-12-31T23:59:59.998Z",
		1_774_000_000_005:   "2026-03-20T09:46:40.005Z",
		253_402_300_799_999: "9999-12-31T23:59:59.999Z",
		253_402_300_800_000: "9999-12-31T23:59:59.999999999Z",
		math.MaxInt64:       "9999-12-31T23:59:59.999999999Z",
		-62_167_219_200_000: "0000-01-01T00:00:00Z",
		-62_167_219_200_001: "0000-01-01T00:00:00Z",
		math.MinInt64:       "0000-01-01T00:00:00Z",
		-62_167_219_199_999: "0000-01-01T00:00:00.001Z",
	} {
		got := rfc3339(time.UnixMilli(ms))
		if got != want {
			t.Errorf("%d: %q, want %q", ms, got, want)
		}
		if _, err := time.Parse(time.RFC3339Nano, got); got != "" && err != nil {
			t.Error(err)
		}
		if _, err := json.Marshal(PartitionStats{Oldest: boundedTime(time.UnixMilli(ms))}); err != nil {
			t.Errorf("%d: %v", ms, err)
		}
	}
}

// Anybody may publish headers of our names. They count in our own streams only, and there as far as they make sense.
func TestWhatHeadersAreBelieved(t *testing.T) {
	t.Parallel()
	first := func(topic, partition, offset, at string) []Header {
		return []Header{
			{Name: FirstTopicHeader, Value: []byte(topic)}, {Name: FirstPartitionHeader, Value: []byte(partition)},
			{Name: FirstOffsetHeader, Value: []byte(offset)}, {Name: FirstTimeHeader, Value: []byte(at)},
		}
	}
	attempts := func(n string) []Header { return []Header{{Name: AttemptsHeader, Value: []byte(n)}} }
	const now = "2026-11-23T12:00:00Z"
	at := func(stream string) history {
		return history{stream: stream, topic: "p." + stream, partition: 3, offset: 7, time: now}
	}
	with := func(h history, n int) history { h.attempts = n; return h }
	earlier := history{stream: "a", topic: "p.a", partition: 1, offset: 2, time: "2020-01-01T00:00:00Z"}
	const dead, retry, replay = "s.g.dead", "s.g.retry.2", "s.g.replay"
	for _, test := range []struct {
		name    string
		stream  string
		headers []Header
		want    history
	}{
		{"none", "s", nil, at("s")},
		{"in a plain stream", "s", append(first("p.a", "1", "2", now), attempts("4")...), at("s")},
		{"in a stream that ends so", "dead", first("p.a", "1", "2", now), at("dead")},
		{"in dead letters", dead, first("p.a", "1", "2", "2020-01-01T00:00:00Z"), earlier},
		{"in a retry stream", retry, append(first("p.a", "1", "2", "2020-01-01T00:00:00Z"), attempts("4")...),
			with(earlier, 4)},
		{"in a replay stream", replay, append(first("p.a", "1", "2", "2020-01-01T00:00:00Z"),
			Header{Name: FirstStreamHeader, Value: []byte("a")}), earlier},
		{"without a time", dead, first("p.a", "1", "2", ""), history{stream: "a", topic: "p.a", partition: 1, offset: 2}},
		{"a time that is none", dead, first("p.a", "1", "2", "10000-01-01T00:00:00Z"),
			history{stream: "a", topic: "p.a", partition: 1, offset: 2}},
		{"a topic that cannot be", dead, first("a b", "1", "2", now), at(dead)},
		{"a binary one", dead, first("\xff\xfe", "1", "2", now), at(dead)},
		{"a long one", dead, first(strings.Repeat("a", 900_000), "1", "2", now), at(dead)},
		{"a binary stream", dead, append(first("p.a", "1", "2", now), Header{Name: FirstStreamHeader, Value: []byte("\xff")}),
			at(dead)},
		{"a partition that cannot be", dead, first("p.a", "-1", "2", now), at(dead)},
		{"a large one", dead, first("p.a", "2147483648", "2", now), at(dead)},
		{"an offset that cannot be", dead, first("p.a", "1", "9223372036854775808", now), at(dead)},
		{"no number", dead, first("p.a", "1", "two", now), at(dead)},
		{"the most attempts", retry, attempts("9223372036854775807"), with(at(retry), 1_000_000)},
		{"more than a number", retry, attempts("99999999999999999999"), at(retry)},
		{"less than none", retry, attempts("-9223372036854775808"), at(retry)},
		{"the last of two counts", retry, append(attempts("2"), attempts("3")...), with(at(retry), 3)},
	} {
		r := &Record{
			Stream: test.stream, Topic: "p." + test.stream, Partition: 3, Offset: 7, Headers: test.headers,
			Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		}
		if got := historyOf(r, "p."); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Whatever a record's headers and error are, our own are valid text of bounded length, each once, and fit into the room
// that topics have for them.
func TestHeadersOfAFailureAreBounded(t *testing.T) {
	t.Parallel()
	f := failedRecord{
		history: history{stream: strings.Repeat("s", 249), topic: strings.Repeat("t", 249), offset: math.MaxInt64,
			time: rfc3339(time.Now()), attempts: math.MaxInt},
		group: strings.Repeat("g", 240), err: Reject(errors.New(strings.Repeat("\xff\xfe€", 1<<20))),
		at:        time.UnixMilli(math.MaxInt64),
		notBefore: time.UnixMilli(math.MaxInt64),
	}
	own := []Header{{Name: "a", Value: []byte("\xff")}, {Name: GroupHeader, Value: []byte("\xff")},
		{Name: ErrorHeader, Value: nil}, {Name: IDHeader, Value: []byte("id")}, {Name: IDHeader, Value: make([]byte, 100)}}
	for s, want := range map[size]string{whole: "a " + IDHeader + " " + IDHeader, shortTexts: "a " + IDHeader + " " +
		IDHeader, bare: IDHeader} {
		bytes, seen := 0, make(map[string]int)
		var others []string
		for _, h := range f.headers(own, s) {
			if !isFailureHeader(h.Name) {
				others = append(others, h.Name)
				continue
			}
			bytes += len(h.Name) + len(h.Value) + 10
			if seen[h.Name]++; seen[h.Name] > 1 || !utf8.Valid(h.Value) {
				t.Errorf("size %d: header %s: %q", s, h.Name, h.Value)
			}
		}
		if got := strings.Join(others, " "); got != want || bytes > 16<<10 {
			t.Errorf("size %d: %d bytes and headers %s, want %s", s, bytes, got, want)
		}
	}
	// What was dropped is counted over all the moves of a record.
	f.dropped = 3
	headers := f.headers(own, bare)
	if last := headers[len(headers)-1]; last.Name != DroppedHeadersHeader || string(last.Value) != "5" {
		t.Errorf("%s: %s, want 5 dropped headers", last.Name, last.Value)
	}
}

func TestWhenARetriedRecordIsDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const delay = time.Minute
	const ms = time.Millisecond // Kafka's times have no more
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, test := range []struct {
		name    string
		header  string
		written time.Time
		want    time.Time
	}{
		{"as it should be", rfc3339(ago(10 * time.Second).Add(delay)), ago(10 * time.Second),
			ago(10 * time.Second).Add(delay)},
		{"overdue", rfc3339(ago(time.Hour)), ago(time.Hour + delay), ago(time.Hour)},
		{"none", "", now, time.Time{}},
		{"no time", "soon", now, time.Time{}},
		{"a far day", "9999-12-31T23:59:59Z", ago(10 * time.Second), ago(10 * time.Second).Add(delay + ms)},
		{"a far day, long ago", "9999-12-31T23:59:59Z", ago(time.Hour), ago(time.Hour).Add(delay + ms)},
		{"a clock that is ahead", rfc3339(now.Add(24*time.Hour + delay)), now.Add(24 * time.Hour), now.Add(delay + ms)},
		{"a clock that is behind", rfc3339(ago(24 * time.Hour).Add(delay)), ago(24 * time.Hour),
			ago(24 * time.Hour).Add(delay)},
		{"a record without a time", "9999-12-31T23:59:59Z", time.UnixMilli(-1), now.Add(delay + ms)},
		{"the first time there is", "9999-12-31T23:59:59Z", time.UnixMilli(math.MinInt64),
			time.UnixMilli(math.MinInt64).Add(delay + ms)},
	} {
		r := &Record{Time: test.written, Headers: []Header{{Name: NotBeforeHeader, Value: []byte(test.header)}}}
		if got := notBefore(r, delay, now); !got.Equal(test.want) {
			t.Errorf("%s: due at %v, want %v", test.name, got, test.want)
		}
	}
}

func TestStatsAreReadableAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Stats{Subscriptions: []SubscriptionStats{
		{Group: "a", LastError: errors.New("the broker said \xff")},
		{Group: "b", Assigned: []PartitionStats{{Oldest: boundedTime(time.UnixMilli(math.MaxInt64))}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Subscriptions []struct {
			Group     string
			LastError *string
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	a, b := got.Subscriptions[0], got.Subscriptions[1]
	if a.Group != "a" || a.LastError == nil || *a.LastError != "the broker said \uFFFD" || b.LastError != nil {
		t.Errorf("%s", text)
	}
}
