// Package near finds the names that a mistyped name may stand for.
package near

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Names returns up to three of the known names that are near name, the nearest first. Upper and lower case are one.
func Names(name string, known iter.Seq[string]) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	name = strings.ToLower(name)
	for k := range known {
		lower := strings.ToLower(k)
		contained := len(name) >= 4 && strings.Contains(lower, name) || len(name) == 3 && strings.HasPrefix(lower, name)
		limit := max(2, len(k)/4)
		if !contained && max(len(name)-len(k), len(k)-len(name)) > limit {
			continue
		}
		if d := Distance(name, lower); d <= limit || contained {
			near = append(near, candidate{k, d})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	names := make([]string, 0, 3)
	for _, c := range near[:min(3, len(near))] {
		names = append(names, c.name)
	}
	return names
}

// DidYouMean returns ": did you mean a, b?" for an error's text; "" where no known name is near.
func DidYouMean(name string, known iter.Seq[string]) string {
	names := Names(name, known)
	if len(names) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(names, ", ") + "?"
}

// longest bounds the work for one pair of names, which grows with the product of their lengths: a mistyped name can
// have any length. The names of topics end at 249 characters.
const longest = 249

// Distance counts the bytes to insert, delete or replace to make b out of a.
func Distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
