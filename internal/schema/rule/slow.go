package rule

import (
	"maps"
	"slices"
)

// Slow lists the places of the schema that v5 checks, each as "field: keyword".
func (r *Rule) Slow() []string {
	s := slow{seen: map[*Rule]bool{}}
	s.walk(r, "")
	return s.lines
}

type slow struct {
	seen  map[*Rule]bool
	lines []string
}

func (s *slow) walk(r *Rule, field string) {
	if r == nil || s.seen[r] {
		return
	}
	s.seen[r] = true
	if r.Delegated != "" {
		name := field
		if name == "" {
			name = "(value)"
		}
		s.lines = append(s.lines, name+": "+r.Delegated)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		s.walk(r.Properties[name].Rule, join(field, name))
	}
	s.walk(r.Additional, field+"{}")
	s.walk(r.Items, field+"[]")
	s.walk(r.Ref, field)
	s.walk(r.Otherwise, field)
}
