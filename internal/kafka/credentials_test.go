package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// secured returns the settings of an application that gives sec.
func secured(t *testing.T, sec Security, raw map[string]any) Settings {
	t.Helper()
	s, _, err := ParseSecured(raw, sec)
	if err != nil {
		t.Fatal(err)
	}
	s.RetryBackoff = quick().RetryBackoff
	return s
}

// Each connection logs in with what the function returns at that moment.
func TestCredentialsOfAFunctionMayChange(t *testing.T) {
	t.Parallel()
	for _, mechanism := range passwordMechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "ada", canary),
				kfake.Superuser(mechanism, "eve", canary+"2"))
			var rotated atomic.Bool
			var users atomic.Pointer[string]
			s := secured(t, Security{SASL: &SASL{Mechanism: mechanism, Credentials: func(context.Context) (string,
				Secret, error) {
				user, password := "ada", NewSecret(canary)
				if rotated.Load() {
					user, password = "eve", NewSecret(canary+"2")
				}
				users.Store(&user)
				return user, password, nil
			}}}, map[string]any{"security_protocol": SASLPlaintext})
			client := connect(t, s, cluster.ListenAddrs()...)
			for i, want := range []string{"ada", "eve"} {
				rotated.Store(i == 1)
				client.DropIdle()
				if _, err := client.AllTopics(t.Context()); err != nil || *users.Load() != want {
					t.Fatalf("%s: logged in as %s, %v", want, *users.Load(), err)
				}
			}
		})
	}
}

// A function that fails is tried again like a broker that is away, unless its error says that this is useless; one that
// panics or does not return ends nothing but the login.
func TestAFunctionForCredentialsThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("the vault is sealed")
	for name, test := range map[string]struct {
		f     func(context.Context) (Token, error)
		want  string
		class Class
	}{
		"error":    {func(context.Context) (Token, error) { return Token{}, broken }, broken.Error(), Transient},
		"refused":  {func(context.Context) (Token, error) { return Token{}, ErrAuth }, "asking the application", Denied},
		"panic":    {func(context.Context) (Token, error) { panic("no token today") }, "no token today", Transient},
		"no token": {func(context.Context) (Token, error) { return Token{}, nil }, "text without blanks", Denied},
		"not a token": {func(context.Context) (Token, error) { return Token{Value: NewSecret(canary + "\x01")}, nil },
			"without blanks", Denied},
		"does not return": {func(ctx context.Context) (Token, error) {
			<-ctx.Done()
			return Token{}, ctx.Err()
		}, "", Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			tokens(cluster, nil)
			s := secured(t, Security{SASL: &SASL{Mechanism: MechanismOAuthBearer, Token: test.f}},
				map[string]any{"security_protocol": SASLPlaintext, "request_timeout_ms": 1000})
			client := connect(t, s, cluster.ListenAddrs()...)
			_, err := client.AllTopics(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || Classify(err) != test.class {
				t.Errorf("error %v (%s), want %s with %q", err, Classify(err), test.class, test.want)
			}
			refuse(t, "the error", err.Error())
		})
	}
}

// tokens makes a cluster take OAUTHBEARER. answer says what is challenged; nil takes every token.
func tokens(cluster *kfake.Cluster, answer func(message string) (challenge string, code int16)) {
	cluster.ControlKey(kmsg.SASLHandshake.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLHandshakeResponse)
		response.SupportedMechanisms = []string{MechanismOAuthBearer}
		return response, nil, true
	})
	cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if answer != nil {
			challenge, code := answer(string(request.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes))
			response.SASLAuthBytes, response.ErrorCode = []byte(challenge), code
		}
		return response, nil, true
	})
}

// The messages are those of RFC 7628, section 4: the token with its extensions, and the empty answer to a refusal.
func TestOAuthBearer(t *testing.T) {
	t.Parallel()
	const first = "n,,\x01auth=Bearer " + canary + "\x01a=1\x01logicalCluster=lkc-1\x01\x01"
	for _, test := range []struct {
		name     string
		refuses  bool
		messages []string
	}{
		{"taken", false, []string{first}},
		{"refused", true, []string{first, "\x01"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			messages := make(chan string, 10)
			tokens(cluster, func(message string) (string, int16) {
				messages <- message
				switch {
				case !test.refuses:
					return "", 0
				case message == "\x01":
					return "", 58
				}
				return `{"status":"invalid_token"}`, 0
			})
			s := secured(t, Security{SASL: &SASL{Mechanism: MechanismOAuthBearer, Token: func(context.Context) (Token, error) {
				return Token{Value: NewSecret(canary), Extensions: map[string]string{"logicalCluster": "lkc-1", "a": "1"}}, nil
			}}}, map[string]any{"security_protocol": SASLPlaintext})
			client := connect(t, s, cluster.ListenAddrs()...)
			_, err := client.AllTopics(t.Context())
			if test.refuses != errors.Is(err, ErrAuth) || test.refuses == (err == nil) {
				t.Errorf("error %v", err)
			}
			for _, want := range test.messages {
				if got := <-messages; got != want {
					t.Errorf("message %q, want %q", got, want)
				}
			}
		})
	}
}

func TestExtensionsOfATokenAreChecked(t *testing.T) {
	t.Parallel()
	for _, extensions := range []map[string]string{{"auth": "x"}, {"": "x"}, {"a1": "x"}, {"a": ""},
		{"a": "x\x01auth=Bearer y"}, {"a": "ü"}} {
		_, _, err := bearer{Token{Value: NewSecret("token"), Extensions: extensions}}.Start(t.Context())
		if !errors.Is(err, ErrAuth) {
			t.Errorf("%q: error %v", extensions, err)
		}
	}
}

// A configuration of the application's own: another authority, a client certificate, and a name of its own to check.
func TestTLSOfTheApplication(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cert, key := a.sign(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	asked := new(atomic.Int64)
	mutual := a.broker("kafka.example")
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, pool
	for _, test := range []struct {
		name   string
		broker *tls.Config
		config *tls.Config
		want   string // part of the error
	}{
		{"trusted", a.broker("127.0.0.1"), &tls.Config{RootCAs: pool}, ""},
		{"not trusted", a.broker("127.0.0.1"), &tls.Config{}, "unknown authority"},
		{"a certificate for each connection, and a name", mutual, &tls.Config{RootCAs: pool, ServerName: "kafka.example",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked.Add(1)
				return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
			}}, ""},
		{"the address is not the name", mutual, &tls.Config{RootCAs: pool}, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.TLS(test.broker))
			s := secured(t, Security{TLS: test.config}, nil)
			if s.SecurityProtocol != SSL {
				t.Errorf("security_protocol is %s", s.SecurityProtocol)
			}
			client := connect(t, s, cluster.ListenAddrs()...)
			_, err := client.AllTopics(t.Context())
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want ErrAuth with %q", err, test.want)
			}
			if test.config.GetClientCertificate != nil && asked.Load() == 0 {
				t.Error("the client certificate was not asked for")
			}
		})
	}
}

// What is given twice is an error, never a silent choice; what is not given follows.
func TestSecurityAndSettings(t *testing.T) {
	t.Parallel()
	login := &SASL{Mechanism: MechanismPlain, Credentials: func(context.Context) (string, Secret, error) {
		return "u", NewSecret("p"), nil
	}}
	for _, test := range []struct {
		name     string
		sec      Security
		raw      map[string]any
		protocol string
		want     string // part of the error
	}{
		{"nothing", Security{}, nil, Plaintext, ""},
		{"TLS", Security{TLS: new(tls.Config)}, nil, SSL, ""},
		{"SASL", Security{SASL: login}, nil, SASLSSL, ""},
		{"both", Security{TLS: new(tls.Config), SASL: login}, nil, SASLSSL, ""},
		{"SASL without TLS", Security{SASL: login}, map[string]any{"security_protocol": SASLPlaintext}, SASLPlaintext, ""},
		{"SASL beside settings of TLS", Security{SASL: login}, map[string]any{"ssl_check_hostname": false}, SASLSSL, ""},
		{"TLS, PLAINTEXT", Security{TLS: new(tls.Config)}, map[string]any{"security_protocol": Plaintext}, "",
			"Config.TLS needs"},
		{"SASL, SSL", Security{SASL: login}, map[string]any{"security_protocol": SSL}, "", "Config.SASL needs"},
		{"TLS and a file", Security{TLS: new(tls.Config)}, map[string]any{"ssl_cafile": "ca.pem"}, "",
			"ssl_cafile and Config.TLS"},
		{"SASL and a user", Security{SASL: login}, map[string]any{"sasl_plain_username": "u"}, "",
			"sasl_plain_username and Config.SASL"},
		{"OAUTHBEARER by settings", Security{}, map[string]any{"sasl_mechanism": "OAUTHBEARER", "security_protocol": SASLSSL},
			"", "leave the setting out and set the program's Config.SASL to bus.SASLOAuthBearer"},
	} {
		s, _, err := ParseSecured(test.raw, test.sec)
		switch {
		case err != nil && strings.Contains(err.Error(), "needs sasl_plain_username"):
			t.Errorf("%s: error %v asks for a password", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		case test.want == "" && (err != nil || s.SecurityProtocol != test.protocol):
			t.Errorf("%s: %s, %v; want %s", test.name, s.SecurityProtocol, err, test.protocol)
		}
	}
	for _, s := range []SASL{{Mechanism: "GSSAPI"}, {Mechanism: MechanismPlain}, {Mechanism: MechanismOAuthBearer}} {
		settings := DefaultSettings()
		settings.SecurityProtocol, settings.SASL = SASLSSL, &s
		if _, err := NewClient([]string{"localhost:9092"}, settings, nil); err == nil ||
			!strings.Contains(err.Error(), "Config.SASL") {
			t.Errorf("%s: error %v", s.Mechanism, err)
		}
	}
}

// A function that ignores its context must not keep a connection, and with it Close, from ending.
func TestAFunctionForCredentialsThatDoesNotReturnIsLeftAlone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := ask(ctx, func(context.Context) (int, error) { <-release; return 0, nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	_, err = ask(t.Context(), func(context.Context) (int, error) { return 0, nil })
	if err != nil {
		t.Errorf("error %v", err)
	}
}
