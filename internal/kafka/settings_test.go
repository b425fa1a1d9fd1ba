package kafka

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// bySecret compares what secrets hold.
var bySecret = cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() })

func TestParseSettingsOfNothingIsTheDefault(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]map[string]any{
		"nil":       nil,
		"empty":     {},
		"all unset": unset(),
	} {
		s, warnings, err := ParseSettings(raw)
		if diff := cmp.Diff(DefaultSettings(), s, bySecret); diff != "" || len(warnings) > 0 || err != nil {
			t.Errorf("%s: warnings %q, error %v, difference %s", name, warnings, err, diff)
		}
	}
}

// unset is every known setting with JSON's null, which is Python's None.
func unset() map[string]any {
	raw := make(map[string]any)
	for name := range maps.Keys(settingTable()) {
		raw[name] = nil
	}
	return raw
}

func TestParseSettingsReadsJSON(t *testing.T) {
	t.Parallel()
	var raw map[string]any
	if err := json.Unmarshal([]byte(`{
		"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "ada",
		"sasl_plain_password": "pw",
		"ssl_cafile": "ca.pem", "ssl_certfile": "cert.pem", "ssl_keyfile": "key.pem", "ssl_password": "kp",
		"ssl_check_hostname": false,
		"client_id": "me", "request_timeout_ms": 20000, "retry_backoff_ms": 50, "metadata_max_age_ms": 5000,
		"connections_max_idle_ms": 60000,
		"acks": "all", "enable_idempotence": false, "compression_type": "zstd", "linger_ms": 0, "max_batch_size": 1000,
		"max_request_size": 2000,
		"fetch_max_wait_ms": 100, "fetch_min_bytes": 2, "fetch_max_bytes": 4000, "max_partition_fetch_bytes": 3000,
		"isolation_level": "read_uncommitted",
		"client_rack": "r1",
		"auto_offset_reset": "latest", "auto_commit_interval_ms": 2000, "session_timeout_ms": 6000,
		"heartbeat_interval_ms": 2000,
		"max_poll_interval_ms": 30000, "max_poll_records": 10, "group_instance_id": "one"
	}`), &raw); err != nil {
		t.Fatal(err)
	}
	want := Settings{
		SecurityProtocol: SASLSSL, SASLMechanism: MechanismScramSHA512, SASLUsername: "ada", SASLPassword: NewSecret("pw"),
		CAFile: "ca.pem", CertFile: "cert.pem", KeyFile: "key.pem", KeyPassword: NewSecret("kp"), CheckHostname: false,
		ClientID: "me", RequestTimeout: 20 * time.Second, RetryBackoff: 50 * time.Millisecond,
		MetadataMaxAge: 5 * time.Second, ConnectionsMaxIdle: time.Minute,
		Acks: AcksAll, Idempotent: false, Compression: wire.Zstd,
		CompressionGiven: true, Linger: 0, MaxBatchSize: 1000, MaxRequestSize: 2000,
		FetchMaxWait: 100 * time.Millisecond, FetchMinBytes: 2, FetchMaxBytes: 4000, MaxPartitionFetchBytes: 3000,
		IsolationLevel: ReadUncommitted,
		ClientRack:     "r1", AutoOffsetReset: Latest, AutoCommitInterval: 2 * time.Second, SessionTimeout: 6 * time.Second,
		HeartbeatInterval: 2 * time.Second,
		RebalanceTimeout:  30 * time.Second, MaxPollRecords: 10, GroupInstanceID: "one",
	}
	got, warnings, err := ParseSettings(raw)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("warnings %q, error %v", warnings, err)
	}
	if diff := cmp.Diff(want, got, bySecret); diff != "" {
		t.Error(diff)
	}
}

func TestParseSettingsTakesGoValues(t *testing.T) {
	t.Parallel()
	for _, value := range []any{int(2000), int8(100), int16(2000), int32(2000), int64(2000), uint(2000), uint8(200),
		uint16(2000), uint32(2000), uint64(2000),
		float32(2000), float64(2000), json.Number("2000"), 2 * time.Second} {
		s, _, err := ParseSettings(map[string]any{"linger_ms": value})
		if err != nil || s.Linger < 100*time.Millisecond || s.Linger > 2*time.Second {
			t.Errorf("linger_ms %T(%v) = %s, %v", value, value, s.Linger, err)
		}
	}
	for _, value := range []any{"all", "-1", -1, -1.0} {
		if s, _, err := ParseSettings(map[string]any{"acks": value}); err != nil || s.Acks != AcksAll || !s.Idempotent {
			t.Errorf("acks %v: %d, %v", value, s.Acks, err)
		}
	}
	for _, value := range []any{"1", 1, 1.0} {
		if s, _, err := ParseSettings(map[string]any{"acks": value}); err != nil || s.Acks != AcksLeader || s.Idempotent {
			t.Errorf("acks %v: %d, idempotent %t, %v", value, s.Acks, s.Idempotent, err)
		}
	}
	s, _, err := ParseSettings(map[string]any{"max_poll_interval_ms": 30_000, "rebalance_timeout_ms": 20_000})
	if err != nil || s.RebalanceTimeout != 20*time.Second {
		t.Errorf("rebalance_timeout_ms does not win: %s, %v", s.RebalanceTimeout, err)
	}
	if s, _, err := ParseSettings(map[string]any{"sasl_plain_password": NewSecret("pw")}); err != nil ||
		s.SASLPassword.Reveal() != "pw" {
		t.Errorf("a Secret is not taken: %v", err)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		raw  map[string]any
		want string // part of the error
	}{
		{"unknown, near", map[string]any{"session_timeout": 1}, `unknown setting "session_timeout": did you mean ` +
			`session_timeout_ms?`},
		{"unknown, misspelt", map[string]any{"compresion_type": "zstd"}, "did you mean compression_type?"},
		{"unknown, nothing near", map[string]any{"xyzzyxyzzyxyzzy": 1}, "settings have aiokafka's names"},
		{"unknown, endless", map[string]any{strings.Repeat("session_timeout_ms", 1000): 1}, "unknown setting"},
		{"unknown, null", map[string]any{"xyzzy": nil}, "unknown setting"},
		{"Java's name", map[string]any{"linger.ms": 1}, "did you mean linger_ms?"},
		{"GSSAPI", map[string]any{"sasl_mechanism": "GSSAPI"}, "GSSAPI is not supported; use PLAIN"},
		{"OAUTHBEARER", map[string]any{"sasl_mechanism": "OAUTHBEARER"}, "bus.SASLOAuthBearer"},
		{"a mechanism of nobody", map[string]any{"sasl_mechanism": "scram"},
			`"scram" is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512`},
		{"oauth provider", map[string]any{"sasl_oauth_token_provider": struct{}{}}, "bus.SASLOAuthBearer"},
		{"protocol", map[string]any{"security_protocol": "TLS"}, `"TLS" is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, ` +
			`SASL_SSL`},
		{"ssl_context", map[string]any{"ssl_context": 1}, "use ssl_cafile"},
		{"transactions", map[string]any{"transactional_id": "t"}, "transactions are not supported"},
		{"partitioner", map[string]any{"partitioner": 1}, "murmur2"},
		{"serializer", map[string]any{"value_serializer": 1}, "PublishRaw"},
		{"manual commit", map[string]any{"enable_auto_commit": false}, "set ManualCommit of bus.Config"},
		{"acks 0", map[string]any{"acks": 0}, "a record that it refuses looks published"},
		{"acks 2", map[string]any{"acks": 2.0}, `"2" is not one of`},
		{"acks bool", map[string]any{"acks": true}, "wants a whole number, got a bool"},
		{"acks 1, idempotent", map[string]any{"acks": 1, "enable_idempotence": true}, `needs acks="all"`},
		{"codec", map[string]any{"compression_type": "brotli"}, "brotli"},
		{"codec number", map[string]any{"compression_type": 4}, "wants a string, got a int"},
		{"negative", map[string]any{"linger_ms": -1}, "-1 is not between 0 and 60000 milliseconds"},
		{"negative duration", map[string]any{"linger_ms": -time.Nanosecond}, "is not between"},
		{"zero timeout", map[string]any{"request_timeout_ms": 0}, "is not between"},
		{"NaN", map[string]any{"linger_ms": math.NaN()}, "NaN is not a whole number"},
		{"infinite", map[string]any{"max_batch_size": math.Inf(1)}, "not a whole number"},
		{"fraction", map[string]any{"max_batch_size": 1.5}, "1.5 is not a whole number"},
		{"beyond int32", map[string]any{"max_batch_size": 3e9}, "is not between"},
		{"beyond int64", map[string]any{"max_batch_size": uint64(math.MaxUint64)}, "is not between"},
		{"duration beyond int64", map[string]any{"request_timeout_ms": 1e15}, "is not between"},
		{"bad number", map[string]any{"max_batch_size": json.Number("1.5")}, "not a whole number"},
		{"string for number", map[string]any{"max_batch_size": "1000"}, "wants a whole number, got a string"},
		{"string for bool", map[string]any{"ssl_check_hostname": "false"}, "wants true or false, got a string"},
		{"number for string", map[string]any{"client_id": 1}, "wants a string, got a int"},
		{"heartbeat", map[string]any{"session_timeout_ms": 6000, "heartbeat_interval_ms": 5000},
			"at most half of session_timeout_ms"},
		{"rebalance", map[string]any{"max_poll_interval_ms": 5000}, "must not be below session_timeout_ms"},
		{"wait", map[string]any{"fetch_max_wait_ms": 40_000}, "must be below request_timeout_ms"},
		{"bytes", map[string]any{"fetch_min_bytes": 100, "fetch_max_bytes": 10}, "must not be above fetch_max_bytes"},
		{"no password", map[string]any{"security_protocol": "SASL_SSL", "sasl_plain_username": "ada"},
			"needs sasl_plain_username and sasl_plain_password"},
		{"half a certificate", map[string]any{"security_protocol": "SSL", "ssl_certfile": "c.pem"}, "one is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := ParseSettings(test.raw)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want it to have %q", err, test.want)
			}
		})
	}
}

func TestParseSettingsReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := ParseSettings(map[string]any{"acks": 0, "sasl_mechanism": "GSSAPI", "lingerms": 1,
		"heartbeat_interval_ms": 60_000})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"acks", "GSSAPI", "lingerms", "heartbeat_interval_ms"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}
}

func TestParseSettingsWarns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		raw  map[string]any
		want []string
	}{
		{"meaningless", map[string]any{"check_crcs": true, "api_version": "auto", "loop": 1}, []string{
			"kafka setting api_version: ignored: versions are agreed with each broker",
			"kafka setting check_crcs: ignored: checksums are always verified",
			"kafka setting loop: ignored: there is no event loop here",
		}},
		{"user without SASL", map[string]any{"sasl_plain_username": "ada"}, []string{
			"kafka setting sasl_plain_username: not used with security_protocol PLAINTEXT: set SASL_SSL or SASL_PLAINTEXT",
		}},
		{"TLS files without TLS", map[string]any{"ssl_cafile": "ca.pem"}, []string{
			"kafka setting ssl_cafile: not used with security_protocol PLAINTEXT: set SSL or SASL_SSL",
		}},
		{"the default said aloud", map[string]any{"enable_auto_commit": true}, []string{
			"kafka setting enable_auto_commit: ignored: it is the default",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, warnings, err := ParseSettings(test.raw)
			if diff := cmp.Diff(test.want, warnings, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("error %v, difference %s", err, diff)
			}
		})
	}
}

// Whatever is wrong with a setting, and wherever a password was put by mistake, no text has it.
func TestParseSettingsNeverPrintsASecret(t *testing.T) {
	t.Parallel()
	for _, value := range []any{canary, []any{canary}, map[string]any{"a": canary}, NewSecret(canary)} {
		for name := range maps.Keys(settingTable()) {
			if slices.Contains([]string{"security_protocol", "sasl_mechanism", "acks", "compression_type", "isolation_level",
				"auto_offset_reset"}, name) {
				continue // one of a few words: the wrong one is shown
			}
			_, warnings, err := ParseSettings(map[string]any{name: value, name + "x": value})
			if err == nil {
				t.Fatalf("%sx is known", name)
			}
			refuse(t, name, err.Error()+strings.Join(warnings, ""))
		}
	}
}

// The names that aiokafka 0.12 takes are all known, so that settings of a Python service never meet "unknown".
func TestEveryNameOfAiokafkaIsKnown(t *testing.T) {
	t.Parallel()
	table := settingTable()
	for _, name := range strings.Fields(`loop bootstrap_servers client_id group_id group_instance_id key_deserializer
	value_deserializer fetch_max_wait_ms
		fetch_max_bytes fetch_min_bytes max_partition_fetch_bytes request_timeout_ms retry_backoff_ms auto_offset_reset
		enable_auto_commit
		auto_commit_interval_ms check_crcs metadata_max_age_ms partition_assignment_strategy max_poll_interval_ms
		rebalance_timeout_ms
		session_timeout_ms heartbeat_interval_ms consumer_timeout_ms max_poll_records ssl_context security_protocol
		api_version
		exclude_internal_topics connections_max_idle_ms isolation_level sasl_mechanism sasl_plain_password sasl_plain_username
		sasl_kerberos_service_name sasl_kerberos_domain_name sasl_oauth_token_provider acks key_serializer value_serializer
		compression_type
		max_batch_size partitioner max_request_size linger_ms enable_idempotence transactional_id transaction_timeout_ms`) {
		if table[name] == nil {
			t.Errorf("%s is unknown", name)
		}
	}
}

// Brokers tell programs apart by their client id: in logs, metrics and quotas.
func TestTheClientIDDefaultsToTheProgramsName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"/usr/local/bin/billing", "--flag"}, "billing"},
		{[]string{"billing.exe"}, "billing"},
		{[]string{""}, "kafkaesk"},
		{nil, "kafkaesk"},
	} {
		if got := programName(test.args); got != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
	if got := DefaultSettings().ClientID; got != filepath.Base(os.Args[0]) {
		t.Errorf("the default is %q", got)
	}
}
