package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSASL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, mechanism, user, password string
		ok                              bool
		want                            string // part of the error
	}{
		{"PLAIN", MechanismPlain, "ada", canary, true, ""},
		{"SCRAM-SHA-256", MechanismScramSHA256, "bob", canary, true, ""},
		{"SCRAM-SHA-512", MechanismScramSHA512, "eve", canary, true, ""},
		{"PLAIN, wrong password", MechanismPlain, "ada", "wrong-" + canary, false,
			"check sasl_mechanism, sasl_plain_username and sasl_plain_password"},
		{"SCRAM-SHA-256, wrong password", MechanismScramSHA256, "bob", "wrong-" + canary, false, "check sasl_mechanism"},
		{"SCRAM-SHA-512, wrong password", MechanismScramSHA512, "eve", "wrong-" + canary, false, "check sasl_mechanism"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", canary),
				kfake.Superuser("SCRAM-SHA-256", "bob", canary), kfake.Superuser("SCRAM-SHA-512", "eve", canary))
			logins := new(atomic.Int64)
			if !test.ok {
				logins = refuseLogins(cluster)
			}
			s := quick()
			s.SecurityProtocol, s.SASLMechanism, s.SASLUsername, s.SASLPassword = SASLPlaintext, test.mechanism, test.user,
				NewSecret(test.password)
			client, log := connectLogged(t, s, cluster.ListenAddrs()...)
			err := client.CheckVersions(t.Context())
			if test.ok {
				if err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(err, ErrAuth) || Classify(err) != Denied || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want ErrAuth with %q", err, test.want)
			} else {
				refuse(t, "the error", err.Error())
			}
			if n := logins.Load(); n > 1 {
				t.Errorf("%d logins with a refused password: accounts get locked", n)
			}
			if n := strings.Count(log.String(), "SASL_PLAINTEXT"); n != 1 {
				t.Errorf("warned %d times of SASL_PLAINTEXT: %s", n, log)
			}
			refuse(t, "the log", log.String())
		})
	}
}

// A server may not have us hash a password as often as it likes.
func TestScramIterationsAreBounded(t *testing.T) {
	t.Parallel()
	for iterations, want := range map[string]string{"4096": "", "16384": "", "16385": "iterations",
		"10000000": "iterations", "99999999999999999999": "iterations",
		"4095": "too few", "-1": "too few", "many": "invalid"} {
		mechanism, err := passwordMechanism(MechanismScramSHA512, "ada", NewSecret(canary))
		if err != nil {
			t.Fatal(err)
		}
		session, first, err := mechanism.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(string(first), "r=")
		_, answer, err := session.Next(t.Context(), []byte("r="+nonce+"server,s=c2FsdHNhbHQ=,i="+iterations))
		if want == "" {
			if err != nil || !strings.Contains(string(answer), ",p=") {
				t.Errorf("%s: %q, %v", iterations, answer, err)
			}
			continue
		}
		if !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), want) || len(answer) > 0 {
			t.Errorf("%s: %q, %v, want ErrAuth with %q", iterations, answer, err, want)
			continue
		}
		refuse(t, "the error", err.Error())
	}
}

// refuseLogins answers as Kafka does; kfake would close the connection.
func refuseLogins(cluster *kfake.Cluster) *atomic.Int64 {
	n := new(atomic.Int64)
	cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = 58
		n.Add(1)
		return response, nil, true
	})
	return n
}

// A client without SASL on a listener that wants it sees the connection close, and nothing else.
func TestEOFAtFirstAsksForSASLOrTLS(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.EnableSASL())
	client := connect(t, quick(), cluster.ListenAddrs()...)
	_, err := client.AllTopics(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does this listener want SASL or TLS, or refuse the login? "+
		"security_protocol is PLAINTEXT") || Classify(err) != Transient {
		t.Errorf("error %v (%s)", err, Classify(err))
	}
}

// A client that speaks TLS to a listener without it sees the connection end in the handshake: reset when the listener
// has not read all of it, as most do, else closed.
func TestTLSWithAListenerThatHasNone(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"reset": 5, "closed": 64 << 10} {
		settings := quick()
		settings.SecurityProtocol = SSL
		_, err := connect(t, settings, hangsUp(t, length)).AllTopics(t.Context())
		const want = "as a listener without TLS does (give the port of a listener with TLS, or set security_protocol to"
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "?") ||
			Classify(err) != Transient {
			t.Errorf("%s: error %v (%s)", name, err, Classify(err))
		}
	}
}

// hangsUp returns the address of a listener that closes each connection when it has read up to length bytes.
func hangsUp(t *testing.T, length int) string {
	t.Helper()
	return testkit.Listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, length))
		c.Close()
	})
}

// authority is a certificate authority of one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour),
		time.Now().Add(time.Hour)
	template.Subject = pkix.Name{CommonName: "test"}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// broker makes a certificate for the names, and the TLS configuration of a broker with it.
func (a *authority) broker(names ...string) *tls.Config {
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, key := a.sign(template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

func (a *authority) file(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) caFile() string { return a.file("ca.pem", "CERTIFICATE", a.cert.Raw) }

// client makes the files of a client certificate.
func (a *authority) client() (certFile, keyFile string) {
	cert, key := a.sign(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.file("cert.pem", "CERTIFICATE", cert.Raw), a.file("key.pem", "PRIVATE KEY", der)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	mine, other := newAuthority(t), newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(mine.cert)
	mutual := mine.broker("127.0.0.1")
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, pool
	old := mine.broker("127.0.0.1")
	old.MaxVersion = tls.VersionTLS11
	certFile, keyFile := mine.client()
	caFile := mine.caFile()

	for _, test := range []struct {
		name   string
		broker *tls.Config
		adjust func(*Settings)
		ok     bool
		want   string
	}{
		{"trusted", mine.broker("127.0.0.1"), func(*Settings) {}, true, ""},
		{"other authority", other.broker("127.0.0.1"), func(*Settings) {}, false, "unknown authority"},
		{"other name", mine.broker("kafka.example"), func(*Settings) {}, false, "127.0.0.1"},
		{"other name, not checked", mine.broker("kafka.example"), func(s *Settings) { s.CheckHostname = false }, true, ""},
		{"other authority, name not checked", other.broker("127.0.0.1"), func(s *Settings) { s.CheckHostname = false }, false,
			"unknown authority"},
		{"client certificate", mutual, func(s *Settings) { s.CertFile, s.KeyFile = certFile, keyFile }, true, ""},
		{"client certificate missing", mutual, func(*Settings) {}, false, "certificate required"},
		{"TLS 1.1", old, func(*Settings) {}, false, "protocol version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.TLS(test.broker))
			s := quick()
			s.SecurityProtocol, s.CAFile = SSL, caFile
			test.adjust(&s)
			client := connect(t, s, cluster.ListenAddrs()...)
			_, err := client.AllTopics(t.Context())
			switch {
			case test.ok && err != nil:
				t.Error(err)
			case !test.ok && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want it to have %q", err, test.want)
			case !test.ok && !errors.Is(err, ErrAuth):
				t.Errorf("not ErrAuth: %v", err)
			}
		})
	}
}

// A listener that speaks something else is told from a broker that is not trusted by its text; neither gets better by
// waiting.
func TestTLSOnAnotherListener(t *testing.T) {
	t.Parallel()
	address := testkit.Listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		c.Close()
	})
	s := quick()
	s.SecurityProtocol = SSL
	client := connect(t, s, address)
	if _, err := client.AllTopics(t.Context()); !errors.Is(err, ErrAuth) ||
		!strings.Contains(err.Error(), "does not look like a TLS handshake") {
		t.Errorf("error %v", err)
	}
}

func TestNewClientReadsItsFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	certFile, keyFile := a.client()
	_, otherKey := newAuthority(t).client()
	for _, test := range []struct {
		name string
		s    Settings
		want string
	}{
		{"CA missing", Settings{SecurityProtocol: SSL, CAFile: "/nowhere/ca.pem"}, "ssl_cafile: open /nowhere/ca.pem"},
		{"CA without a certificate", Settings{SecurityProtocol: SSL, CAFile: keyFile}, "has no PEM certificate"},
		{"certificate missing", Settings{SecurityProtocol: SSL, CertFile: "/nowhere/c.pem", KeyFile: keyFile},
			"ssl_certfile: open /nowhere/c.pem"},
		{"key missing", Settings{SecurityProtocol: SSL, CertFile: certFile, KeyFile: "/nowhere/k.pem"},
			"ssl_keyfile: open /nowhere/k.pem"},
		{"key of another", Settings{SecurityProtocol: SSL, CertFile: certFile, KeyFile: otherKey},
			"private key does not match"},
		{"mechanism", Settings{SecurityProtocol: SASLSSL, SASLMechanism: "X"}, "sasl_mechanism"},
		{"SCRAM password", Settings{SecurityProtocol: SASLSSL, SASLMechanism: MechanismScramSHA256, SASLUsername: "ada",
			SASLPassword: NewSecret(canary + "\u0000\u0007")}, "RFC 4013"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewClient([]string{"localhost:9092"}, test.s, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want it to have %q", err, test.want)
			}
			refuse(t, "the error", err.Error())
		})
	}
}

// The keys were written by OpenSSL 3 with the password "swordfish".
func TestEncryptedKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file, password, want string
	}{
		{"encrypted-pkcs8.pem", "swordfish", ""},
		{"encrypted-sha1.pem", "swordfish", ""},
		{"encrypted-older.pem", "swordfish", ""},
		{"encrypted-pkcs8.pem", canary, "is ssl_password right?"},
		{"encrypted-older.pem", canary, "is ssl_password right?"},
		{"encrypted-pkcs8.pem", "", "set ssl_password"},
		{"encrypted-older.pem", "", "set ssl_password"},
		{"encrypted-3des.pem", "swordfish", "openssl pkcs8 -topk8 -v2 aes256"},
	} {
		t.Run(test.file+" "+test.password, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			key, err := decryptKey(file, NewSecret(test.password))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %v, want it to have %q", err, test.want)
				}
				refuse(t, "the error", err.Error())
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(key)
			if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if got, err := decryptKey([]byte("no PEM"), Secret{}); err != nil || string(got) != "no PEM" {
		t.Errorf("a file without PEM: %q, %v", got, err)
	}
}

// A file that was cut off anywhere is an error, and no panic.
func TestEncryptedKeysCutOff(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(filepath.Join("testdata", "encrypted-pkcs8.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	for n := range block.Bytes {
		if _, err := openPKCS8(block.Bytes[:n], NewSecret("swordfish")); err == nil {
			t.Fatalf("the first %d bytes are a key", n)
		}
	}
}
