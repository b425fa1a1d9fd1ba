package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// tlsConfig makes the TLS configuration that s asks for; nil for plain text. It reads the certificate files, once.
func tlsConfig(s Settings) (*tls.Config, error) {
	switch {
	case !s.usesTLS():
		return nil, nil
	case s.TLS != nil:
		return s.TLS.Clone(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: setting ssl_cafile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka: setting ssl_cafile: %s has no PEM certificate", s.CAFile)
		}
	}
	if s.CertFile != "" {
		certificate, err := keyPair(s)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	if !s.CheckHostname {
		// Go checks the chain and the name together. Without the name the chain is still checked, by ourselves.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the broker sent no certificate")
			}
			options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
			for _, c := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return config, nil
}

// keyPair reads our own certificate and its key.
func keyPair(s Settings) (tls.Certificate, error) {
	certificate, err := os.ReadFile(s.CertFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("kafka: setting ssl_certfile: %w", err)
	}
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("kafka: setting ssl_keyfile: %w", err)
	}
	if key, err = decryptKey(key, s.KeyPassword); err != nil {
		return tls.Certificate{}, fmt.Errorf("kafka: setting ssl_keyfile: %s: %w", s.KeyFile, err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("kafka: settings ssl_certfile and ssl_keyfile: %w", err)
	}
	return pair, nil
}

// saslMechanismOf makes the SASL mechanism that s asks for; nil for none.
func saslMechanismOf(s Settings) (sasl.Mechanism, error) {
	switch {
	case !s.usesSASL():
		return nil, nil
	case s.SASL != nil:
		return newSupplied(*s.SASL)
	}
	m, err := passwordMechanism(s.SASLMechanism, s.SASLUsername, s.SASLPassword)
	if err != nil {
		return nil, fmt.Errorf("kafka: settings sasl_mechanism, sasl_plain_username, sasl_plain_password: %w", err)
	}
	return m, nil
}

// passwordMechanism makes a mechanism that logs in by user and password. Its errors hold neither.
func passwordMechanism(name, user string, password Secret) (sasl.Mechanism, error) {
	switch name {
	case MechanismPlain:
		return plainMechanism{user, password}, nil
	case MechanismScramSHA256, MechanismScramSHA512:
		algorithm := scram.SHA256
		if name == MechanismScramSHA512 {
			algorithm = scram.SHA512
		}
		mechanism, err := scram.Mechanism(algorithm, user, password.Reveal())
		if err != nil {
			// Its text may quote what it could not prepare, which is the password.
			return nil, fmt.Errorf("%w: user or password have characters that SCRAM (RFC 4013) does not allow", ErrAuth)
		}
		return typedMechanism{boundedScram{mechanism}}, nil
	default:
		return nil, fmt.Errorf("mechanism %q is not one of %s", name, strings.Join(passwordMechanisms(), ", "))
	}
}

// plainMechanism is PLAIN (RFC 4616) with a password that does not print; kafka-go's own holds a string.
type plainMechanism struct {
	user     string
	password Secret
}

func (plainMechanism) Name() string { return MechanismPlain }

func (m plainMechanism) Start(context.Context) (sasl.StateMachine, []byte, error) {
	return m, []byte("\x00" + m.user + "\x00" + m.password.Reveal()), nil
}

// Next has nothing to say: a broker that refuses answers with an error code instead of a challenge.
func (plainMechanism) Next(context.Context, []byte) (bool, []byte, error) { return true, nil, nil }

// maxIterations is how often SCRAM may have us hash a password. It is the most that Kafka lets a credential have
// (maxIterations of ScramMechanism in Apache Kafka, which a broker holds to when a credential is made; neither Java's
// client nor franz-go bounds it). Without it, an address that is no broker of ours could keep a processor busy.
const maxIterations = 16384

// boundedScram refuses a challenge with more than maxIterations before it is worked on.
type boundedScram struct{ sasl.Mechanism }

func (m boundedScram) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	session, first, err := m.Mechanism.Start(ctx)
	return boundedSession{session}, first, err
}

type boundedSession struct{ sasl.StateMachine }

func (s boundedSession) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	for field := range strings.SplitSeq(string(challenge), ",") {
		count, ok := strings.CutPrefix(field, "i=")
		// What is no number is refused by the mechanism.
		if n, err := strconv.ParseUint(count, 10, 64); ok && (n > maxIterations || errors.Is(err, strconv.ErrRange)) {
			return false, nil, fmt.Errorf("the broker wants %.20s iterations of SCRAM, and Kafka has at most %d: is this a "+
				"broker?", count, maxIterations)
		}
	}
	return s.StateMachine.Next(ctx, challenge)
}

// typedMechanism makes [ErrAuth] of what a mechanism finds wrong on our side: SCRAM checks the broker too.
type typedMechanism struct{ sasl.Mechanism }

func (m typedMechanism) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	session, first, err := m.Mechanism.Start(ctx)
	return typedSession{session}, first, asAuth(err)
}

type typedSession struct{ sasl.StateMachine }

func (s typedSession) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	done, response, err := s.StateMachine.Next(ctx, challenge)
	return done, response, asAuth(err)
}

func asAuth(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: SASL: %w", ErrAuth, err)
}
