// Package near suggests names for a mistyped name.
package near

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Names returns up to three known names that are near name, the nearest first. Case is ignored.
func Names(name string, known iter.Seq[string]) []string {
	name = strings.ToLower(name)
	return nearest(known, func(k string) (int, bool) {
		contained := len(name) >= 4 && strings.Contains(k, name) || len(name) == 3 && strings.HasPrefix(k, name)
		limit := max(2, len(k)/4)
		if !contained && max(len(name)-len(k), len(k)-len(name)) > limit {
			return 0, false
		}
		d := distance(name, k, false)
		return d, contained || d <= limit
	})
}

// Matching returns up to three known names that nearly match a pattern, in which * stands for any text and ? for any
// one character, the nearest first. Case is ignored.
func Matching(pattern string, known iter.Seq[string]) []string {
	pattern = strings.ToLower(pattern)
	literals := len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "?")
	return nearest(known, func(k string) (int, bool) {
		d := distance(pattern, k, true)
		return d, d <= min(max(2, literals/4), literals/2)
	})
}

// DidYouMean returns ": did you mean a, b?" for an error text; "" when no known name is near.
func DidYouMean(name string, known iter.Seq[string]) string {
	names := Names(name, known)
	if len(names) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(names, ", ") + "?"
}

// nearest returns up to three of the known names for which measure, called with the name in lower case, reports near.
func nearest(known iter.Seq[string], measure func(lower string) (distance int, near bool)) []string {
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	for name := range known {
		if d, near := measure(strings.ToLower(name)); near {
			all = append(all, candidate{name, d})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	names := make([]string, 0, 3)
	for _, c := range all[:min(3, len(all))] {
		names = append(names, c.name)
	}
	return names
}

// longest bounds the work for one pair of names, which is the product of their lengths: a mistyped name can have any
// length. Topic names have at most 249 characters, patterns 256.
const longest = 256

// Distance returns the number of bytes to insert, delete or replace to change a into b.
func Distance(a, b string) int { return distance(a, b, false) }

// distance is Distance; if wild, the wildcards of a cost nothing: * for any text, ? for any one byte.
func distance(a, b string, wild bool) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1) // distances from the processed part of a to each prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		star := wild && a[i] == '*'
		if !star {
			row[0]++
		}
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] && !(wild && a[i] == '?') {
				replace++
			}
			diagonal = row[j+1]
			if star {
				row[j+1] = min(row[j], row[j+1])
			} else {
				row[j+1] = min(replace, row[j]+1, row[j+1]+1)
			}
		}
	}
	return row[len(b)]
}
