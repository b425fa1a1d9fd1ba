package group

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

func part(n int32) kafka.TopicPartition { return kafka.TopicPartition{Topic: "t", Partition: n} }

// TestGenerationCommitsRecordResults is what becomes of a partition after each answer.
func TestGenerationCommitsRecordResults(t *testing.T) {
	t.Parallel()
	type offsets = map[kafka.TopicPartition]int64
	answered := func(codes ...int16) map[kafka.TopicPartition]error {
		results := make(map[kafka.TopicPartition]error)
		for n, code := range codes {
			results[part(int32(n))] = kafka.CodeErr(code)
		}
		return results
	}
	tests := []struct {
		name    string
		results map[kafka.TopicPartition]error
		err     error
		is      error // nil = success
		fault   fault
		next    offsets // what is due when the marks are the same
		over    bool
	}{
		{"both written", answered(0, 0), nil, nil, none, offsets{}, false},
		{"nothing heard", nil, errNetwork, errNetwork, transient, offsets{part(0): 5, part(1): 6}, false},
		{"one left out", answered(0), nil, nil, transient, offsets{part(1): 6}, false},
		{"coordinator moves", answered(16, 16), nil, kafka.CodeError(16), transient, offsets{part(0): 5, part(1): 6}, false},
		{"deleted", answered(0, 3), nil, errDeleted, transient, offsets{}, false},
		{"one denied, one too early", answered(29, 14), nil, kafka.ErrAuth, denied, offsets{part(0): 5, part(1): 6}, false},
		{"old generation", answered(22, 22), nil, ErrRevoked, stale, nil, true},
		{"thrown out", answered(14, 25), nil, ErrRevoked, unknown, nil, true},
		{"another generation begins", answered(27, 0), nil, ErrRevoked, rebalancing, nil, true},
		{"fenced", answered(82, 29), nil, ErrRevoked, fenced, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			term := newGenerationCommits(t.Context(), identity{"m", 7}, offsets{part(0): -1, part(1): 3})
			marks := offsets{part(0): 5, part(1): 6, part(2): 7} // the last is not ours
			due := term.due(marks)
			if diff := cmp.Diff(offsets{part(0): 5, part(1): 6}, due); diff != "" {
				t.Fatal(diff)
			}
			err := term.recordResults(due, tt.results, tt.err, func(string) bool { return false })
			if tt.is != nil && !errors.Is(err, tt.is) || faultOf(err) != tt.fault || term.refused != tt.over {
				t.Errorf("got %v, over %v", err, term.refused)
			}
			if tt.over {
				return
			}
			if diff := cmp.Diff(tt.next, term.due(marks)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTermUnknownTopicThatIsThere is one that the broker has not heard of yet.
func TestTermUnknownTopicThatIsThere(t *testing.T) {
	t.Parallel()
	term := newGenerationCommits(t.Context(), identity{"m", 7}, map[kafka.TopicPartition]int64{part(0): -1})
	marks := map[kafka.TopicPartition]int64{part(0): 5}
	results := map[kafka.TopicPartition]error{part(0): codeUnknownTopic}
	err := term.recordResults(term.due(marks), results, nil, func(string) bool {
		return true
	})
	if !isTransient(err) || len(term.due(marks)) != 1 {
		t.Errorf("given up: %v", err)
	}
}

// TestTermForgets: of a partition that was made anew lower offsets are committed, of the others not.
func TestTermForgets(t *testing.T) {
	t.Parallel()
	term := newGenerationCommits(t.Context(), identity{"m", 7}, map[kafka.TopicPartition]int64{part(0): 50, part(1): 60})
	_ = term.recordResults(term.due(map[kafka.TopicPartition]int64{part(0): 100}), nil, errNetwork, nil)
	term.forget(part(0))
	term.forget(part(9)) // not ours
	marks := map[kafka.TopicPartition]int64{part(0): 3, part(1): 4, part(9): 5}
	if diff := cmp.Diff(map[kafka.TopicPartition]int64{part(0): 3}, term.due(marks)); diff != "" {
		t.Error(diff)
	}
}

// TestCommitsNeverFallForLong plays a broker that loses answers, and carries requests out late. What is sent never
// falls; and once the broker has answered twice, what it has committed is the highest that was sent, whatever came
// late.
func TestCommitsNeverFallForLong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 2
		found := make(map[kafka.TopicPartition]int64)
		for n := range int32(partitions) {
			found[part(n)] = rapid.Int64Range(-1, 5).Draw(t, "found")
		}
		term := newGenerationCommits(context.Background(), identity{"m", 7}, found)
		defer term.cancel()
		broker, marks, highest := maps.Clone(found), maps.Clone(found), maps.Clone(found)
		var late []map[kafka.TopicPartition]int64
		ok := func(due map[kafka.TopicPartition]int64) map[kafka.TopicPartition]error {
			results := make(map[kafka.TopicPartition]error)
			for p := range due {
				results[p] = nil
			}
			return results
		}
		commit := func(how string) {
			due := term.due(marks)
			for p, offset := range due {
				if offset < highest[p] {
					t.Fatalf("%s: sends %d after %d", p, offset, highest[p])
				}
				highest[p] = offset
			}
			switch how {
			case "answered":
				maps.Copy(broker, due)
				for _, due := range late { // what was stuck gets through at the worst moment: just behind
					maps.Copy(broker, due)
				}
				late = nil
				if err := term.recordResults(due, ok(due), nil, nil); err != nil {
					t.Fatal(err)
				}
			case "answer lost":
				maps.Copy(broker, due)
				_ = term.recordResults(due, nil, errNetwork, nil)
			case "request late":
				late = append(late, due)
				_ = term.recordResults(due, nil, errNetwork, nil)
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			p := part(rapid.Int32Range(0, partitions-1).Draw(t, "partition"))
			marks[p] = rapid.Int64Range(0, 40).Draw(t, "mark") // a caller may be late with a lower one
			commit(rapid.SampledFrom([]string{"answered", "answer lost", "request late"}).Draw(t, "how"))
		}
		commit("answered")
		commit("answered")
		if diff := cmp.Diff(highest, broker); diff != "" {
			t.Fatalf("sent, and committed in the end: %s", diff)
		}
	})
}
