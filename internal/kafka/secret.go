package kafka

import (
	"fmt"
	"log/slog"
)

// redacted stands where a secret would have been printed.
const redacted = "[redacted]"

// Secret is a string that does not print: not by any verb of fmt, not by slog, not as JSON. It keeps the string inside
// a function, because fmt cannot call the methods of an unexported field and prints such a field's memory instead; of a
// function there is only an address to print. The zero value holds the empty string.
type Secret struct {
	reveal func() string
}

// NewSecret hides s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return s }}
}

// Reveal returns the string. Only what sends it to a broker, or opens a key with it, calls this.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsSet reports whether there is anything to hide.
func (s Secret) IsSet() bool { return s.reveal != nil }

// String returns a placeholder, or nothing when the secret is empty.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return redacted
}

// Format prints the placeholder for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue makes slog print the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText makes encoders, JSON among them, print the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
