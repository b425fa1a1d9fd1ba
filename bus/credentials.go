package bus

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// SASL is how an App logs in to the brokers, for [Config.SASL]. Make it with [SASLPassword], [SASLCredentials] or
// [SASLOAuthBearer]. Its secrets are never printed.
//
// A function of it is called for each new connection, by several goroutines at once, and has about five seconds.
// Nothing that it returns is cached: a function for which a token or a password is expensive to get has to cache it. An
// error or a panic of it is handled like a broker that is away, and tried again; an error that wraps [ErrAuth] fails a
// publish at once.
type SASL struct{ sasl kafka.SASL }

// SASLPassword logs in by a user and a password that stay the same. The mechanism is PLAIN, SCRAM-SHA-256 or
// SCRAM-SHA-512. An empty username, which is often a variable that is not set, is an error of [App.Initialize].
func SASLPassword(mechanism, username, password string) *SASL {
	s := &SASL{kafka.SASL{Mechanism: mechanism}}
	if username != "" {
		secret := kafka.NewSecret(password)
		s.sasl.Credentials = func(context.Context) (string, kafka.Secret, error) { return username, secret, nil }
	}
	return s
}

// SASLCredentials logs in by the user and the password that the function returns. They may change: the next
// connection has the new ones, and open connections stay. The mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
func SASLCredentials(mechanism string, f func(context.Context) (username, password string, err error)) *SASL {
	s := &SASL{kafka.SASL{Mechanism: mechanism}}
	if f != nil {
		s.sasl.Credentials = func(ctx context.Context) (string, kafka.Secret, error) {
			username, password, err := f(ctx)
			return username, kafka.NewSecret(password), err
		}
	}
	return s
}

// SASLOAuthBearer logs in by the bearer token that the function returns (OAUTHBEARER: RFC 7628, KIP-255). Where brokers
// close connections whose token has expired (connections.max.reauth.ms), the next connection has a new one.
func SASLOAuthBearer(f func(context.Context) (Token, error)) *SASL {
	s := &SASL{kafka.SASL{Mechanism: kafka.MechanismOAuthBearer}}
	if f != nil {
		s.sasl.Token = func(ctx context.Context) (kafka.Token, error) {
			t, err := f(ctx)
			return kafka.Token{Value: kafka.NewSecret(t.Value), Extensions: t.Extensions}, err
		}
	}
	return s
}

// String returns the mechanism.
func (s SASL) String() string { return "SASL " + s.sasl.Mechanism }

// Format prints what String returns, whatever the verb.
func (s SASL) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// Token is a bearer token. Its value is never printed.
type Token struct {
	// Value is the token as it is sent to the broker, for example a JWT.
	Value string
	// Extensions are further values for the broker, by their names (KIP-342), for example logicalCluster. Defaults to
	// none.
	Extensions map[string]string
}

// String returns a placeholder.
func (Token) String() string { return "[hidden token]" }

// Format prints the placeholder, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue keeps the token out of log records.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText keeps the token out of what encoders write, JSON among them.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// security returns what the configuration gives as Go values.
func (c Config) security() kafka.Security {
	s := kafka.Security{TLS: c.TLS}
	if c.SASL != nil {
		s.SASL = &c.SASL.sasl
	}
	return s
}
