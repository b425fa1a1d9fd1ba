package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// examine runs the doctor and returns its results.
func examine(t *testing.T, o Options) (results []Result, healthy bool) {
	t.Helper()
	if o.Settings.SecurityProtocol == "" {
		o.Settings = kafka.DefaultSettings()
	}
	healthy, err := Run(t.Context(), o, func(r Result) { results = append(results, r) })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Millis < 0 || r.Detail == "" || (r.Status == Failed) != (r.Fix != "") && r.Status != Skipped {
			t.Errorf("incomplete: %+v", r)
		}
	}
	return results, healthy
}

// wantFailure checks that one step alone has failed, which one, and that it says what is wrong and what to do.
func wantFailure(t *testing.T, results []Result, healthy bool, step, detail, fix string) {
	t.Helper()
	var failed []Result
	for _, r := range results {
		if r.Status == Failed {
			failed = append(failed, r)
		}
	}
	if healthy || len(failed) != 1 {
		t.Fatalf("healthy %v: %+v", healthy, results)
	}
	if r := failed[0]; r.Step != step || !strings.Contains(r.Detail, detail) || !strings.Contains(r.Fix, fix) {
		t.Errorf("%+v\nwant step %s with %q and %q", r, step, detail, fix)
	}
}

func settings(change func(*kafka.Settings)) kafka.Settings {
	s := kafka.DefaultSettings()
	change(&s)
	return s
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	results, healthy := examine(t, Options{Servers: cluster.Servers(), Timeout: 30 * time.Second,
		Groups: []string{"doctor"},
		Needs:  []Need{{Stream: "doctor.missing", Publish: true, Consume: true}}})
	var steps []string
	for _, r := range results {
		if len(steps) == 0 || steps[len(steps)-1] != r.Step {
			steps = append(steps, r.Step)
		}
	}
	if got := strings.Join(steps, " "); !healthy || got != "tcp versions advertised acl clock" {
		t.Errorf("healthy %v, steps %s: %+v", healthy, got, results)
	}
	last := results[len(results)-1]
	if want := map[bool]string{true: OK, false: Skipped}[cluster.IsReal()]; last.Status != want {
		t.Errorf("clock: %+v, want %s", last, want)
	}
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	results, healthy := examine(t, Options{Servers: []string{"kafkaesk-doctor.invalid:9092"}, Timeout: 20 * time.Second})
	wantFailure(t, results, healthy, stepDNS, "kafkaesk-doctor.invalid", "DNS")
}

func TestClosedPort(t *testing.T) {
	t.Parallel()
	results, healthy := examine(t, Options{Servers: []string{closedPort(t)}})
	wantFailure(t, results, healthy, stepTCP, "refused", "nothing listens on this port")
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAPortThatNeverAnswers(t *testing.T) {
	t.Parallel()
	var open []net.Conn
	t.Cleanup(func() { // after the cleanup of Listen, which waits for whoever appends
		for _, c := range open {
			c.Close()
		}
	})
	address := testkit.Listen(t, func(c net.Conn) { open = append(open, c) })
	o := Options{Servers: []string{address}, Timeout: 100 * time.Millisecond}
	results, healthy := examine(t, o)
	wantFailure(t, results, healthy, stepVersions, "no answer within 100ms", "never answers")
	o.Settings = settings(func(s *kafka.Settings) { s.SecurityProtocol = kafka.SSL })
	results, healthy = examine(t, o)
	wantFailure(t, results, healthy, stepTLS, "no answer within 100ms", "never answers")
}

func TestAnotherProgram(t *testing.T) {
	t.Parallel()
	address := testkit.Listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_, _ = c.Read(make([]byte, 1024))
		c.Close()
	})
	results, healthy := examine(t, Options{Servers: []string{address}})
	wantFailure(t, results, healthy, stepVersions, "not Kafka's protocol", "another program than Kafka")
}

// certificate makes a certificate for a name, which signs itself, and a PEM file of it.
func certificate(t *testing.T, hosts []string, from, until time.Time) (config *tls.Config, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, IsCA: true,
		BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "the broker"}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

func TestTLS(t *testing.T) {
	t.Parallel()
	now := time.Now()
	year := 365 * 24 * time.Hour
	here := []string{"127.0.0.1"}
	tests := []struct {
		name             string
		hosts            []string
		from, until      time.Time
		other            bool // the authority is another one
		plain            bool // the client speaks no TLS
		step, what, does string
	}{
		{name: "trusted", hosts: here, from: now.Add(-year), until: now.Add(year)},
		{name: "another authority", hosts: here, from: now.Add(-year), until: now.Add(year), other: true,
			step: stepTLS, what: "unknown authority", does: "signed by CN=the broker, which is not trusted: if this is right, " +
				"set ssl_cafile"},
		{name: "another name", hosts: []string{"kafka.example", "k2.example"}, from: now.Add(-year), until: now.Add(year),
			step: stepTLS, what: "127.0.0.1", does: "is for kafka.example, k2.example"},
		{name: "expired", hosts: here, from: now.Add(-year), until: now.Add(-time.Hour), step: stepTLS, what: "expired",
			does: "was valid until"},
		{name: "not yet valid", hosts: here, from: now.Add(time.Hour), until: now.Add(year), step: stepTLS,
			what: "not yet valid", does: "is the clock of this machine right?"},
		{name: "about to expire", hosts: here, from: now.Add(-year), until: now.Add(24 * time.Hour), step: stepTLS,
			what: "valid until", does: "renew"},
		{name: "a client without TLS", hosts: here, from: now.Add(-year), until: now.Add(year), plain: true,
			step: stepVersions, what: "", does: "the listener speaks TLS: set security_protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config, file := certificate(t, tt.hosts, tt.from, tt.until)
			if tt.other {
				_, file = certificate(t, tt.hosts, tt.from, tt.until)
			}
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(config))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			o := Options{Servers: cluster.ListenAddrs(), Settings: settings(func(s *kafka.Settings) {
				s.SecurityProtocol, s.CAFile = kafka.SSL, file
				if tt.plain {
					s.SecurityProtocol = kafka.Plaintext
				}
			})}
			results, healthy := examine(t, o)
			if tt.step == "" {
				if !healthy {
					t.Errorf("%+v", results)
				}
				return
			}
			wantFailure(t, results, healthy, tt.step, tt.what, tt.does)
		})
	}
}

func TestTLSWithAListenerWithoutIt(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	results, healthy := examine(t, Options{Servers: cluster.Servers(), Timeout: 2 * time.Second,
		Settings: settings(func(s *kafka.Settings) { s.SecurityProtocol = kafka.SSL })})
	wantFailure(t, results, healthy, stepTLS, "", "PLAINTEXT or SASL_PLAINTEXT")
}

func user(name, password string) kafka.Settings {
	return settings(func(s *kafka.Settings) {
		s.SecurityProtocol, s.SASLMechanism = kafka.SASLPlaintext, kafka.MechanismPlain
		s.SASLUsername, s.SASLPassword = name, kafka.NewSecret(password)
	})
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.SASL("ada", "right"))
	results, healthy := examine(t, Options{Servers: cluster.Servers(), Settings: user("ada", "right")})
	if !healthy {
		t.Errorf("with the right password: %+v", results)
	}
	// The second server is not asked: a second wrong login may lock the account.
	servers := append(cluster.Servers(), cluster.Servers()...)
	results, healthy = examine(t, Options{Servers: servers, Settings: user("ada", "wrong-canary")})
	if cluster.IsReal() {
		wantFailure(t, results, healthy, stepSASL, "Authentication failed", "check sasl_mechanism, sasl_plain_username and "+
			"sasl_plain_password")
		if last := results[len(results)-1]; last.Step != stepSASL || last.Status != Skipped {
			t.Errorf("the second login: %+v", last)
		}
	} else if healthy || results[2].Step != stepSASL || !strings.Contains(results[2].Fix, "closed the connection during "+
		"the login") {
		t.Errorf("%+v", results)
	}
	for _, r := range results {
		if strings.Contains(r.Detail+r.Fix, "canary") {
			t.Errorf("a secret in %+v", r)
		}
	}
}

func TestAnAdvertisedAddressThatCannotBeReached(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	address := closedPort(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Fake().ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.Fake().KeepControl()
		answer := request.ResponseKind().(*kmsg.MetadataResponse)
		answer.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 7, Host: host, Port: int32(number)}}
		return answer, nil, true
	})
	results, healthy := examine(t, Options{Servers: cluster.Servers()})
	wantFailure(t, results, healthy, stepAdvertised, "broker 7 advertises "+address,
		"set advertised.listeners of broker 7")
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	o := Options{Needs: []Need{{Stream: "read", Publish: true, Consume: true}, {Stream: "none", Publish: true},
		{Stream: "new", Publish: true}},
		Groups: []string{"mine", "others"}}
	topic := kmsg.ACLResourceTypeTopic
	cluster := kafkatest.Start(t, kafkatest.Kfake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "x"),
		kfake.EnableACLs(),
		kfake.SeedTopics(1, "read", "none"),
		kfake.User("PLAIN", "ada", "right",
			kfake.ACL{Resource: topic, Name: "read", Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: kmsg.ACLOperationRead, Allow: true},
			kfake.ACL{Resource: topic, Name: "new", Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: kmsg.ACLOperationDescribe, Allow: true},
			kfake.ACL{Resource: kmsg.ACLResourceTypeCluster, Name: "kafka-cluster", Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: kmsg.ACLOperationDescribe, Allow: true},
			kfake.ACL{Resource: kmsg.ACLResourceTypeGroup, Name: "mine", Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: kmsg.ACLOperationRead, Allow: true},
		)))
	o.Servers, o.Settings = cluster.Servers(), user("ada", "right")
	results, healthy := examine(t, o)
	if healthy {
		t.Error("healthy")
	}
	wantRights(t, results, map[string]string{
		"topic read":   "kafka-acls --add --allow-principal User:ada --operation Write --topic read",
		"topic none":   "kafka-acls --add --allow-principal User:ada --operation Describe --operation Write --topic none",
		"group others": "kafka-acls --add --allow-principal User:ada --operation Read --group others",
		"topic new":    "kafkaesk topics apply", "group mine": "",
	})
}

func wantRights(t *testing.T, results []Result, want map[string]string) {
	t.Helper()
	for _, r := range results {
		fix, ok := want[r.Target]
		if r.Step != stepACL || !ok {
			continue
		}
		delete(want, r.Target)
		if (r.Status == OK) != (fix == "") || !strings.Contains(r.Fix, fix) {
			t.Errorf("%+v, want %q", r, fix)
		}
	}
	if len(want) > 0 {
		t.Errorf("not looked at: %v in %+v", want, results)
	}
}

// On a real Kafka with an authorizer a user without any ACL lacks everything.
func TestMissingRightsOnRealKafka(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.SASL("ada", "right"),
		kafkatest.Property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
		kafkatest.Property("super.users", "User:ANONYMOUS"))
	results, healthy := examine(t, Options{Servers: cluster.Servers(), Settings: user("ada", "right"),
		Needs: []Need{{Stream: "orders", Publish: true}}, Groups: []string{"billing"}})
	if healthy {
		t.Error("healthy")
	}
	wantRights(t, results, map[string]string{
		"topic orders":  "--operation Describe --operation Write --topic orders",
		"group billing": "--operation Read --group billing",
	})
}

// A real Kafka tells its time: a clock that is wrong here is seen.
func TestAWrongClock(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	if !cluster.IsReal() {
		t.Skip("the embedded broker does not tell its time: set KAFKA=apache")
	}
	results, healthy := examine(t, Options{Servers: cluster.Servers(), Now: func() time.Time {
		return time.Now().Add(time.Hour)
	}})
	wantFailure(t, results, healthy, stepClock, "behind this machine's", "NTP")
}

// An examination ends with its context.
func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := testkit.Listen(t, func(c net.Conn) {
		cancel()
		c.Close()
	})
	if healthy, err := Run(ctx, Options{Servers: []string{address}, Settings: kafka.DefaultSettings()},
		func(Result) {}); healthy || err == nil {
		t.Errorf("healthy %v, error %v", healthy, err)
	}
}
