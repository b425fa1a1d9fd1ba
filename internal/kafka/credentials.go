package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
)

// Security is what an application gives as Go values instead of by settings. The zero value gives nothing.
type Security struct {
	// TLS replaces the settings ssl_*. It is not changed.
	TLS *tls.Config
	// SASL replaces the settings sasl_*.
	SASL *SASL
}

// SASL is how a client logs in. Its function is called for each new connection, by any goroutine.
type SASL struct {
	Mechanism string
	// Credentials returns user and password, for all mechanisms but OAUTHBEARER.
	Credentials func(context.Context) (user string, password Secret, err error)
	// Token returns the token of OAUTHBEARER.
	Token func(context.Context) (Token, error)
}

// Token is a bearer token (RFC 6750), and what goes to the broker beside it (KIP-342).
type Token struct {
	Value      Secret
	Extensions map[string]string
}

// apply puts what the application gives into s. given has the names of the settings that were set.
func (sec Security) apply(s *Settings, given map[string]bool) error {
	var errs []error
	replaces := func(field string, names ...string) {
		for _, name := range names {
			if given[name] {
				errs = append(errs, fmt.Errorf("kafka: setting %s and Config.%s say the same: give one of them", name, field))
			}
		}
	}
	s.TLS, s.SASL = sec.TLS, sec.SASL
	if s.TLS != nil {
		replaces("TLS", sslSettings()...)
	}
	if s.SASL != nil {
		replaces("SASL", saslSettings()...)
		s.SASLMechanism = s.SASL.Mechanism
	}
	switch {
	case !given["security_protocol"]:
		if s.SASL != nil {
			s.SecurityProtocol = SASLSSL
		} else if s.TLS != nil {
			s.SecurityProtocol = SSL
		}
	case s.TLS != nil && !s.usesTLS():
		errs = append(errs, fmt.Errorf("kafka: Config.TLS needs security_protocol SSL or SASL_SSL, not %s",
			s.SecurityProtocol))
	case s.SASL != nil && !s.usesSASL():
		errs = append(errs, fmt.Errorf("kafka: Config.SASL needs security_protocol SASL_SSL or SASL_PLAINTEXT, not %s",
			s.SecurityProtocol))
	}
	return errors.Join(errs...)
}

func sslSettings() []string {
	return []string{"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_check_hostname"}
}

func saslSettings() []string {
	return []string{"sasl_mechanism", "sasl_plain_username", "sasl_plain_password"}
}

// supplied is the mechanism of a SASL: it asks the application for each login.
type supplied struct{ SASL }

func newSupplied(s SASL) (sasl.Mechanism, error) {
	switch {
	case s.Mechanism == MechanismOAuthBearer && s.Token == nil:
		return nil, errors.New("kafka: Config.SASL: OAUTHBEARER needs a function for tokens")
	case s.Mechanism == MechanismOAuthBearer:
	case !slices.Contains(passwordMechanisms(), s.Mechanism):
		return nil, fmt.Errorf("kafka: Config.SASL: mechanism %q is not one of %s", s.Mechanism,
			strings.Join(passwordMechanisms(), ", "))
	case s.Credentials == nil:
		return nil, fmt.Errorf("kafka: Config.SASL: %s needs a username that is not empty, or a function for it", s.Mechanism)
	}
	return supplied{s}, nil
}

// Name implements sasl.Mechanism.
func (s supplied) Name() string { return s.Mechanism }

// Start implements sasl.Mechanism. kafka-go bounds ctx by the time for a connection.
func (s supplied) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := ask(ctx, func(ctx context.Context) (sasl.Mechanism, error) {
		if s.Mechanism == MechanismOAuthBearer {
			token, err := s.Token(ctx)
			return bearer{token}, err
		}
		user, password, err := s.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		return passwordMechanism(s.Mechanism, user, password)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("SASL %s: asking the application for its credentials: %w", s.Mechanism, err)
	}
	return m.Start(ctx)
}

// ask calls a function of the application, which must not end the program by a panic, nor keep a connection from being
// closed by not returning when ctx ends: then it is left alone.
func ask[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("panic: %v", p)
			}
			answered <- a
		}()
		a.err = errors.New("the function has ended its goroutine")
		a.value, a.err = f(ctx)
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("the function has not returned in time: %w", context.Cause(ctx))
	}
}

// bearer is OAUTHBEARER (RFC 7628, KIP-255).
type bearer struct{ token Token }

func (bearer) Name() string { return MechanismOAuthBearer }

// Start implements sasl.Mechanism.
func (b bearer) Start(context.Context) (sasl.StateMachine, []byte, error) {
	value := b.token.Value.Reveal()
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, nil, fmt.Errorf("%w: SASL OAUTHBEARER: a token is text without blanks, and this one is not", ErrAuth)
	}
	first := []byte("n,,\x01auth=Bearer " + value)
	for _, name := range slices.Sorted(maps.Keys(b.token.Extensions)) {
		value := b.token.Extensions[name]
		letters := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
		printable := func(r rune) bool { return r >= ' ' && r <= '~' || r == '\t' || r == '\r' || r == '\n' }
		if name == "" || name == "auth" || strings.ContainsFunc(name, func(r rune) bool { return !letters(r) }) ||
			value == "" || strings.ContainsFunc(value, func(r rune) bool { return !printable(r) }) {
			return nil, nil, fmt.Errorf("%w: SASL OAUTHBEARER: the name of extension %q has to be letters, other than auth,"+
				" and its value text", ErrAuth, name)
		}
		first = append(first, "\x01"+name+"="+value...)
	}
	return bearerSession{}, append(first, "\x01\x01"...), nil
}

type bearerSession struct{}

// Next implements sasl.StateMachine. A broker that refuses a token says so by a challenge, and fails the login when it
// has the empty message that has to follow (RFC 7628, section 3.2.3).
func (bearerSession) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, []byte{1}, nil
}
