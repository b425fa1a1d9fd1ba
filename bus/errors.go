package bus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/schema"
)

var (
	// ErrNotConfigured says that the App has no servers. Set Config.Servers, or call App.Configure before the first use.
	ErrNotConfigured = errors.New("no Kafka servers are configured")
	// ErrClosed says that the App is closed.
	ErrClosed = kafka.ErrClosed
	// ErrTooLarge says that a record is larger than max_request_size, or than the broker takes. A retry does not
	// help.
	ErrTooLarge = kafka.ErrTooLarge
	// ErrAuth says that the brokers refused the program or what it asked for: wrong credentials, or a missing ACL.
	ErrAuth = kafka.ErrAuth
	// ErrUnacknowledged says that a failed publish has sent its record, and that the record may be stored, now or
	// later: the context ended, or the App was closed, before the broker answered, or the broker does not know the
	// outcome itself. A failed publish without it has not stored its record and never will: it is safe to publish it
	// again. After this error a second publish may store the record twice, under two ids, unless the application
	// gives both the same id: see [IDHeader].
	ErrUnacknowledged = produce.ErrUnacknowledged
)

// SchemaConflictError says that a schema is declared twice, or that a stream which carries one schema id was given
// another.
type SchemaConflictError struct {
	// Schema is the schema that was refused, as in "Content:1".
	Schema string
	// Stream is the stream on which two ids met. It is empty when the conflict is between two declarations.
	Stream string
	// Reason says what it conflicts with.
	Reason string
}

func (e *SchemaConflictError) Error() string {
	if e.Stream != "" {
		return fmt.Sprintf("schema %s on stream %q: %s", e.Schema, e.Stream, e.Reason)
	}
	return fmt.Sprintf("schema %s: %s", e.Schema, e.Reason)
}

// Violation is one way in which data breaks its schema.
type Violation struct {
	// Field is the path of the field, as in "user.tags[2]". It is empty for the data as a whole.
	Field string
	// Rule is the JSON Schema keyword that is broken, as in "minLength".
	Rule string
	// Text says what the rule asks for and what it met.
	Text string
}

// ValidationError says that data breaks its schema. A publish has not sent it; consumed data (see [Validate]) is
// rejected.
type ValidationError struct {
	// Schema is the schema's name, such as "Content:1"; for consumed data it is the name of the handler's type.
	Schema string
	// Field and Rule are those of the first violation.
	Field, Rule string
	// Violations are the first 100 violations, at least one.
	Violations []Violation
}

func newValidationError(name string, invalid *schema.Invalid) *ValidationError {
	e := &ValidationError{Schema: name, Violations: make([]Violation, 0, len(invalid.Violations))}
	for _, v := range invalid.Violations {
		e.Violations = append(e.Violations, Violation{Field: v.Field, Rule: v.Keyword, Text: v.Sentence()})
	}
	if len(e.Violations) > 0 {
		e.Field, e.Rule = e.Violations[0].Field, e.Violations[0].Rule
	}
	return e
}

func (e *ValidationError) Error() string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "data breaks schema %s", e.Schema)
	for i, v := range e.Violations {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Violations)-most)
			break
		}
		b.WriteString(sep(i))
		if v.Field != "" {
			fmt.Fprintf(&b, "field %q: ", v.Field)
		}
		b.WriteString(v.Rule + ": " + v.Text)
	}
	return b.String()
}

func sep(i int) string {
	if i == 0 {
		return ": "
	}
	return "; "
}
