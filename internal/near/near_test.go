package near

import (
	"slices"
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3},
		{"linger.ms", "linger_ms", 1},
		{"ab", "ba", 2}, {strings.Repeat("a", 1000), "a", 1000},
	} {
		if got := Distance(test.a, test.b); got != test.want {
			t.Errorf("Distance(%.20q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	known := []string{"content.edited", "content.deleted", "orders", "order", "ordered", "ord"}
	for _, test := range []struct {
		name string
		want []string
	}{
		{"contents.edited", []string{"content.edited"}},
		{"order.", []string{"order", "orders", "ordered"}},
		{"Orders", []string{"orders", "order", "ordered"}},
		{"con", []string{"content.edited", "content.deleted"}},
		{"edited", []string{"content.edited"}},
		{"invoices", []string{}},
		{strings.Repeat("order", 1000), []string{}},
	} {
		if got := Names(test.name, slices.Values(known)); !slices.Equal(got, test.want) {
			t.Errorf("Names(%.20q) = %q, want %q", test.name, got, test.want)
		}
	}
}

func TestMatching(t *testing.T) {
	t.Parallel()
	known := []string{"content.edited", "content.deleted", "orders", "a"}
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		{"contents.*", []string{"content.deleted", "content.edited"}},
		{"Content.*", []string{"content.deleted", "content.edited"}},
		{"*.edit", []string{"content.edited"}},
		{"content.edite?x", []string{"content.edited"}},
		{"order", []string{"orders"}},
		{"x.*", []string{}},
		{"invoices.*", []string{}},
		{strings.Repeat("*", 300), []string{}},
	} {
		if got := Matching(test.pattern, slices.Values(known)); !slices.Equal(got, test.want) {
			t.Errorf("Matching(%.20q) = %q, want %q", test.pattern, got, test.want)
		}
	}
}
