package logrecord

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"
)

type pendingModel struct {
	Model
	A    string   `json:"a,omitempty" jsonschema:"maxLength=3"`
	Key1 int      `json:"key1"`
	List []string `json:"list"`
	B    *int     `json:"b"`
}

type pendingOwn struct {
	Model
	Service string `json:"service"`
	A       int    `json:"a"`
}

// randomAttr returns an attribute of one of n keys.
func randomAttr(r *rand.Rand, n, depth int) slog.Attr {
	key := []string{"key", "a", "b", "level", "list", "k\"y", "né"}[r.IntN(7)]
	if r.IntN(3) > 0 {
		key = fmt.Sprint("key", r.IntN(n))
	}
	switch r.IntN(12) {
	case 0:
		return slog.Any(key, nil)
	case 1:
		return slog.Any(key, pendingModel{A: []string{"", "ok", "too long"}[r.IntN(3)], Key1: r.IntN(9)})
	case 2:
		return slog.Any(key, pendingOwn{Service: "s"})
	case 3:
		if depth > 0 {
			return slog.Attr{Key: []string{key, "g", ""}[r.IntN(3)],
				Value: slog.GroupValue(randomAttrs(r, n, r.IntN(4), depth-1)...)}
		}
		return slog.Duration(key, time.Duration(r.Int64()))
	case 4:
		return slog.Float64(key, r.NormFloat64())
	case 5:
		return slog.Bool(key, r.IntN(2) == 0)
	case 6:
		return slog.Time(key, at)
	case 7:
		return slog.Any(key, []any{1, slog.GroupValue(slog.Int("x", 1), slog.Int("x", 2))})
	case 8:
		return slog.Uint64(key, r.Uint64())
	default:
		return slog.Int(key, r.IntN(1000)-500)
	}
}

func randomAttrs(r *rand.Rand, n, count, depth int) (all []slog.Attr) {
	for range count {
		all = append(all, randomAttr(r, n, depth))
	}
	return all
}

// Putting off the layout changes no record: not for keys that come twice, in any order of groups, models and
// attributes, in With or the call, few or many.
func TestTheLayoutMayBePutOff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	usual := NewEncoder(Options{Base: fixedBase(), SchemaID: "LogRecord:1"})
	atOnce := NewEncoder(Options{Base: fixedBase(), SchemaID: "LogRecord:1",
		FromContext: func(context.Context) []slog.Attr { return nil }})
	for range 5_000 {
		a, b := usual, atOnce
		n := []int{3, 30, 1000}[r.IntN(3)]
		for range r.IntN(3) {
			if attrs := randomAttrs(r, n, r.IntN(8), 2); r.IntN(3) > 0 {
				a, b = a.WithAttrs(attrs), b.WithAttrs(attrs)
			} else {
				name := []string{"g", "key1"}[r.IntN(2)]
				a, b = a.WithGroup(name), b.WithGroup(name)
			}
		}
		log := slog.NewRecord(at, 0, "hello", 0)
		log.AddAttrs(randomAttrs(r, n, []int{0, 3, 8, 60}[r.IntN(4)], 2)...)
		got, _ := a.Append(nil, t.Context(), log)
		want, _ := b.Append(nil, t.Context(), log)
		if string(got) != string(want) {
			t.Fatalf("the layout put off:\n%s\nmade at once:\n%s", got, want)
		}
		samePartsAs(t, want, a, t.Context(), log)
	}
}
