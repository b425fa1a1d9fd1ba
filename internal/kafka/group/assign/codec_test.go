package assign

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// raw returns bytes that were noted with spaces for the eye.
func raw(t testing.TB, noted string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(noted, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What aiokafka 0.14 writes for two topics and no user data.
const (
	pythonSubscription = "0000 00000002 0001 61 0003 622e63 00000000"
	pythonAssignment   = "0000 00000002 0001 61 00000002 00000000 00000002 0003 622e63 00000001 00000001 00000000"
)

func TestSubscriptionBytes(t *testing.T) {
	t.Parallel()
	if got, want := (Subscription{Topics: []string{"b.c", "a"}}).Encode(),
		raw(t, pythonSubscription); !bytes.Equal(got, want) {
		t.Errorf("wrote %x, Python writes %x", got, want)
	}
	data := Subscription{Topics: []string{"a"}, UserData: []byte("xy")}.Encode()
	if want := raw(t, "0000 00000001 0001 61 00000002 7879"); !bytes.Equal(data, want) {
		t.Errorf("wrote %x, want %x", data, want)
	}
}

func TestParseSubscription(t *testing.T) {
	t.Parallel()
	two := []string{"a", "b.c"}
	tests := []struct {
		name string
		in   string
		want Subscription
		bad  bool
	}{
		{"python", pythonSubscription, Subscription{Topics: two}, false},
		{"null user data", "0000 00000001 0001 61 ffffffff", Subscription{Topics: two[:1]}, false},
		{"user data", "0000 00000001 0001 61 00000002 7879", Subscription{two[:1], []byte("xy")}, false},
		{"version 1, owned partitions", "0001 00000001 0001 61 00000001 78 00000001 0001 61 00000001 00000000",
			Subscription{two[:1], []byte("x")}, false},
		{"version 3, generation and rack", "0003 00000001 0001 61 ffffffff 00000000 00000007 0001 72",
			Subscription{Topics: two[:1]}, false},
		{"a version of the future", "7fff 00000001 0001 61 00000000 ffffffffff", Subscription{Topics: two[:1]}, false},
		{"no topics", "0000 00000000 00000000", Subscription{}, false},
		{"no user data at all", "0000 00000001 0001 61", Subscription{Topics: two[:1]}, false},
		{"user data cut off", "0000 00000001 0001 61 00000009 78", Subscription{Topics: two[:1]}, false},
		{"empty", "", Subscription{}, true},
		{"version only", "0000", Subscription{}, true},
		{"topic cut off", "0000 00000001 0003 61", Subscription{}, true},
		{"more topics than bytes", "0000 7fffffff 0001 61", Subscription{}, true},
		{"negative count", "0000 ffffffff", Subscription{}, true},
		{"null topic", "0000 00000001 ffff 00000000", Subscription{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSubscription(raw(t, tt.in))
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAssignmentBytes(t *testing.T) {
	t.Parallel()
	parts := []TopicPartition{{"b.c", 1}, {"a", 2}, {"a", 0}}
	if got, want := EncodeAssignment(parts, 0), raw(t, pythonAssignment); !bytes.Equal(got, want) {
		t.Errorf("wrote %x, Python writes %x", got, want)
	}
	if got, want := EncodeAssignment(nil, 0), raw(t, "0000 00000000 00000000"); !bytes.Equal(got, want) {
		t.Errorf("nothing: wrote %x, Python writes %x", got, want)
	}
	if parts[0].Topic != "b.c" {
		t.Error("the argument was sorted")
	}
}

func TestParseAssignment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want []TopicPartition
		bad  bool
	}{
		{"no bytes", "", nil, false},
		{"python", pythonAssignment, []TopicPartition{{"a", 0}, {"a", 2}, {"b.c", 1}}, false},
		{"null user data", "0000 00000001 0001 61 00000001 00000003 ffffffff", []TopicPartition{{"a", 3}}, false},
		{"version 1", "0001 00000001 0001 61 00000001 00000003 ffffffff", []TopicPartition{{"a", 3}}, false},
		{"a version of the future", "0009 00000001 0001 61 00000001 00000003 ffffffff 1234",
			[]TopicPartition{{"a", 3}}, false},
		{"no user data at all", "0000 00000001 0001 61 00000001 00000003", []TopicPartition{{"a", 3}}, false},
		{"nothing in it", "0000 00000000 00000000", nil, false},
		{"user data of another assignor", "0000 00000001 0001 61 00000001 00000003 00000009 020000000000000001",
			[]TopicPartition{{"a", 3}}, false},
		{"user data cut off", "0000 00000001 0001 61 00000001 00000003 00000009 0100", []TopicPartition{{"a", 3}}, false},
		{"version only", "0000", nil, true},
		{"cut off", "0000 00000001 0001 61 00000002 00000003", nil, true},
		{"more partitions than bytes", "0000 00000001 0001 61 7fffffff 00000003", nil, true},
		{"negative partition", "0000 00000001 0001 61 00000001 ffffffff 00000000", nil, true},
		{"negative count", "0000 80000000", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, seen, err := ParseAssignment(raw(t, tt.in))
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if seen != 0 {
				t.Errorf("it was dealt out for the view %d of nobody", seen)
			}
		})
	}
}

func TestParseMember(t *testing.T) {
	t.Parallel()
	owned := []TopicPartition{{"a", 0}, {"a", 5}}
	ours := UserData{Topics: 1, Generation: 8, Owned: owned}.Encode()
	// Java's sticky assignor: an array of topics with their partitions, then the generation.
	java := raw(t, "00000001 0001 61 00000001 00000000 00000008")
	tests := []struct {
		name     string
		metadata []byte
		want     Member
		bad      bool
	}{
		{"ours", Subscription{[]string{"a"}, ours}.Encode(), Member{"m", "i", []string{"a"}, 8, owned, 1}, false},
		{"python", raw(t, pythonSubscription), Member{"m", "i", []string{"a", "b.c"}, -1, nil, 0}, false},
		{"java's sticky assignor", Subscription{[]string{"a"}, java}.Encode(), Member{"m", "i", []string{"a"}, -1, nil, 0},
			false},
		{"garbage", []byte("garbage"), Member{"m", "i", nil, -1, nil, 0}, true},
		{"nothing", nil, Member{"m", "i", nil, -1, nil, 0}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseMember("m", "i", tt.metadata)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUserDataNotOurs(t *testing.T) {
	t.Parallel()
	whole := UserData{Topics: 1, Generation: 2, Owned: []TopicPartition{{"a", 300}}}.Encode()
	tests := map[string][]byte{
		"nothing":                nil,
		"another version":        append([]byte{2}, whole[1:]...),
		"a count beyond the end": append(bytes.Clone(whole[:13]), 1, 'a', 9, 0),
		"a length beyond it":     append(bytes.Clone(whole[:13]), 200, 'a', 1, 0),
		"partition 2^31-1":       binary.AppendUvarint(append(bytes.Clone(whole[:13]), 1, 'a', 1), math.MaxInt32),
		"partitions that wrap": append(binary.AppendUvarint(append(bytes.Clone(whole[:13]), 1, 'a', 2), math.MaxInt32-1),
			5),
		"too long": append(bytes.Clone(whole), make([]byte, maxUserData)...),
	}
	for n := 1; n < len(whole); n++ {
		if n != 13 { // where the claims begin
			tests[fmt.Sprintf("cut off at %d", n)] = whole[:n]
		}
	}
	for name, b := range tests {
		if diff := cmp.Diff(UserData{Generation: -1}, ParseUserData(b)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestUserDataIsBounded(t *testing.T) {
	t.Parallel()
	u := UserData{Generation: 3}
	for i := range 5000 {
		u.Owned = append(u.Owned, TopicPartition{fmt.Sprintf("a-topic-with-a-name-of-some-length-%d", i), 0})
	}
	b := u.Encode()
	if len(b) > maxUserData || len(b) < maxUserData/2 {
		t.Errorf("%d bytes", len(b))
	}
	if got := ParseUserData(b); got.Generation != 3 || len(got.Owned) < 1000 {
		t.Errorf("generation %d, %d partitions", got.Generation, len(got.Owned))
	}
}

func TestHashTopics(t *testing.T) {
	t.Parallel()
	// The hash is compared with that of the same member only, but may not depend on the process.
	if got := HashTopics(map[string]int{"a": 7, "b": 1}); got != 0x13c5b93d0a54bb2c {
		t.Errorf("hash %#x", got)
	}
	seen := make(map[uint64]string)
	for name, topics := range map[string]map[string]int{
		"nothing": nil, "a": {"a": 7}, "more partitions": {"a": 8}, "one more": {"a": 7, "b": 1}, "other": {"b": 7},
		"counts swapped": {"a": 1, "b": 7}, "names run together": {"ab": 7},
	} {
		h := HashTopics(topics)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
}

func topicPartitions() *rapid.Generator[[]TopicPartition] {
	return rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) TopicPartition {
		return TopicPartition{rapid.SampledFrom([]string{"a", "a.b", "ü", "zz"}).Draw(t, "topic"),
			rapid.Int32Range(0, math.MaxInt32-1).Draw(t, "partition")}
	}), func(p TopicPartition) TopicPartition { return p })
}

func TestCodecsRoundTrip(t *testing.T) {
	t.Parallel()
	sorted := cmpopts.SortSlices(func(a, b TopicPartition) bool { return comparePartitions(a, b) < 0 })
	rapid.Check(t, func(t *rapid.T) {
		parts := topicPartitions().Draw(t, "partitions")
		hash := rapid.Uint64().Draw(t, "hash")
		got, seen, err := ParseAssignment(EncodeAssignment(parts, hash))
		if diff := cmp.Diff(parts, got, sorted, cmpopts.EquateEmpty()); diff != "" || seen != hash || err != nil {
			t.Fatal(err, seen, diff)
		}
		u := UserData{hash, rapid.Int32().Draw(t, "generation"), parts}
		m, err := ParseMember("m", "", Subscription{[]string{"a"}, u.Encode()}.Encode())
		want := Member{ID: "m", Topics: []string{"a"}, Generation: u.Generation, Owned: parts, Seen: hash}
		if diff := cmp.Diff(want, m, sorted, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(raw(f, pythonSubscription))
	f.Add(raw(f, pythonAssignment))
	f.Add(UserData{Topics: 1, Generation: 2, Owned: []TopicPartition{{"a", 300}, {"a", 301}, {"b", 0}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSubscription(b); err == nil && 2*len(s.Topics)+len(s.UserData) > len(b) {
			t.Fatalf("%d topics, %d bytes of user data out of %d bytes", len(s.Topics), len(s.UserData), len(b))
		}
		if parts, _, err := ParseAssignment(b); err == nil && 4*len(parts) > len(b) {
			t.Fatalf("%d partitions out of %d bytes", len(parts), len(b))
		}
		u := ParseUserData(b)
		if len(u.Owned) > len(b) {
			t.Fatalf("%d partitions out of %d bytes", len(u.Owned), len(b))
		}
		for _, p := range u.Owned {
			if p.Partition < 0 {
				t.Fatal("a negative partition")
			}
		}
	})
}
