package schema

import (
	"fmt"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

// Violation is one rule that a value breaks.
type Violation = rule.Violation

// Invalid is the error of a value that breaks its schema. It has at least one violation, ordered by path, then keyword,
// and at most rule.MaxViolations.
type Invalid struct {
	Violations []Violation
}

// maxNamed is how many violations Error spells out.
const maxNamed = 3

// Error names the first violations and counts the rest. It never holds the whole value.
func (e *Invalid) Error() string {
	var out strings.Builder
	for i, v := range e.Violations {
		if i == maxNamed {
			fmt.Fprintf(&out, "; and %d more", len(e.Violations)-maxNamed)
			break
		}
		if i > 0 {
			out.WriteString("; ")
		}
		if v.Field != "" {
			fmt.Fprintf(&out, "field %q: ", v.Field)
		}
		if v.Keyword != "" {
			out.WriteString(v.Keyword + ": ")
		}
		out.WriteString(v.Sentence())
	}
	return out.String()
}
