package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// The values of [Settings.SecurityProtocol].
const (
	Plaintext     = "PLAINTEXT"
	SSL           = "SSL"
	SASLPlaintext = "SASL_PLAINTEXT"
	SASLSSL       = "SASL_SSL"
)

// The values of [Settings.SASLMechanism].
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
	MechanismOAuthBearer = "OAUTHBEARER" // by Security alone: tokens come from a function
)

// passwordMechanisms are those that a user and a password are enough for.
func passwordMechanisms() []string {
	return []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512}
}

// The values of [Settings.AutoOffsetReset].
const (
	Earliest = "earliest"
	Latest   = "latest"
	NoReset  = "none"
)

// The values of [Settings.IsolationLevel].
const (
	ReadCommitted   = "read_committed"
	ReadUncommitted = "read_uncommitted"
)

// The values of [Settings.Acks].
const (
	AcksAll    int16 = -1
	AcksLeader int16 = 1
)

// Settings is everything about a connection to Kafka that an operator can choose, checked. Make it with
// [DefaultSettings] or [ParseSettings]. Each comment names the setting as aiokafka and ParseSettings call it; durations
// are given in milliseconds there. It prints without its secrets.
type Settings struct {
	// SecurityProtocol is how connections are secured. Credentials are sent with the SASL_ protocols only, and without
	// TLS anybody in between reads them. Setting: security_protocol.
	SecurityProtocol string
	// SASLMechanism is how the program logs in, with the SASL_ protocols. OAUTHBEARER needs Config.SASL of the program.
	// Setting: sasl_mechanism.
	SASLMechanism string
	// SASLUsername is the user, for every mechanism. Setting: sasl_plain_username.
	SASLUsername string
	// SASLPassword is the password, for every mechanism. It is never printed. Setting: sasl_plain_password.
	SASLPassword Secret
	// CAFile is a PEM file of the authorities that may sign the brokers' certificates. Without it those of the system
	// may. Setting: ssl_cafile.
	CAFile string
	// CertFile is a PEM file with the program's own certificate, for brokers that ask for one. It needs ssl_keyfile.
	// Setting: ssl_certfile.
	CertFile string
	// KeyFile is a PEM file with the key of the certificate. Setting: ssl_keyfile.
	KeyFile string
	// KeyPassword is the password of an encrypted ssl_keyfile. It is never printed. Setting: ssl_password.
	KeyPassword Secret
	// CheckHostname is whether the broker's certificate has to name the host that the program connects to.
	// Setting: ssl_check_hostname.
	CheckHostname bool
	// TLS and SASL are those of [Security]: nil when what stands above counts.
	TLS  *tls.Config
	SASL *SASL

	// ClientID is the name of this program in the brokers' logs, metrics and quotas. Setting: client_id.
	ClientID string
	// RequestTimeout is how long one attempt of a request may take. Setting: request_timeout_ms.
	RequestTimeout time.Duration
	// RetryBackoff is the longest pause after a first failed attempt. The pause doubles with each further attempt.
	// Setting: retry_backoff_ms.
	RetryBackoff time.Duration
	// MetadataMaxAge is the longest age of what the client knows about topics. Raise it for huge clusters: new topics
	// that match a pattern, and new partitions, are found no sooner. A leader that has moved is looked up at once all
	// the same. Without it, topics that are used by their names are looked up every 10 s, those that do not exist yet
	// every second, and all topics, which patterns need, every 2.5 s. Setting: metadata_max_age_ms.
	MetadataMaxAge time.Duration
	// ConnectionsMaxIdle is how long an unused connection stays open: less than load balancers and brokers wait before
	// they close it. Setting: connections_max_idle_ms.
	ConnectionsMaxIdle time.Duration

	// Acks is which replicas have a record before it is acknowledged: all that are in sync, or with 1 the leader alone.
	// With 1 an acknowledged record is lost if that broker is lost, and the producer is not idempotent. 0 is refused.
	// Setting: acks.
	Acks int16
	// Idempotent is whether each batch carries a producer id and a sequence number, so that a batch that is sent twice is
	// written once. It is false with acks 1. Setting: enable_idempotence.
	Idempotent bool
	// Compression is how batches are compressed. Log streams are compressed with snappy unless this is set, `none`
	// included. Setting: compression_type.
	Compression wire.Compression
	// CompressionGiven tells that compression_type was given, and counts for log streams too.
	CompressionGiven bool
	// Linger is how long a batch that no call waits for stays open for more records. Setting: linger_ms.
	Linger time.Duration
	// MaxBatchSize is the size of the largest batch before compression. A broker takes 1,048,588 bytes unless it is
	// configured otherwise. Setting: max_batch_size.
	MaxBatchSize int
	// MaxRequestSize is the size of the largest record that is published. Setting: max_request_size.
	MaxRequestSize int

	// FetchMaxWait is how long a broker may hold a fetch that finds nothing. Setting: fetch_max_wait_ms.
	FetchMaxWait time.Duration
	// FetchMinBytes is how many bytes a fetch waits for. Setting: fetch_min_bytes.
	FetchMinBytes int
	// FetchMaxBytes is the limit of what is fetched and not decoded, from all brokers together. A fetch asks for half of
	// what is left of it, and for 1 MiB at least. Setting: fetch_max_bytes.
	FetchMaxBytes int
	// MaxPartitionFetchBytes is the limit of one partition in a fetch. A larger record is fetched all the same.
	// Setting: max_partition_fetch_bytes.
	MaxPartitionFetchBytes int
	// ClientRack is the rack in which this program runs, as the brokers name it in broker.rack. Brokers with a rack-aware
	// replica.selector.class then have it read from the nearest replica. Without it, it reads from the leaders.
	// Setting: client_rack.
	ClientRack string
	// IsolationLevel is whether records of open and aborted transactions are read. With read_committed they are not.
	// Setting: isolation_level.
	IsolationLevel string

	// AutoOffsetReset is where a group begins that has no committed offset. With none that is an error.
	// Setting: auto_offset_reset.
	AutoOffsetReset string
	// AutoCommitInterval is how often finished work is committed. Setting: auto_commit_interval_ms.
	AutoCommitInterval time.Duration
	// SessionTimeout is how long a group waits for a member's heartbeat before it removes the member.
	// Setting: session_timeout_ms.
	SessionTimeout time.Duration
	// HeartbeatInterval is the pause between heartbeats, at most half of session_timeout_ms.
	// Setting: heartbeat_interval_ms.
	HeartbeatInterval time.Duration
	// RebalanceTimeout is how long a group waits for its members to finish their work and join again.
	// rebalance_timeout_ms wins over max_poll_interval_ms. Settings: rebalance_timeout_ms, max_poll_interval_ms.
	RebalanceTimeout time.Duration
	// MaxPollRecords is how many records of each partition of a subscription may wait or be handled. A partition that has
	// more is not read on; what was asked for before still comes. Without it the limits are 10,000 records and 2 MiB.
	// Setting: max_poll_records.
	MaxPollRecords int
	// GroupInstanceID is the id of a static member (KIP-345), which keeps its partitions over a restart.
	// Setting: group_instance_id.
	GroupInstanceID string
}

// DefaultSettings returns the defaults, which need no broker security.
func DefaultSettings() Settings {
	return Settings{
		SecurityProtocol: Plaintext,
		SASLMechanism:    MechanismPlain,
		CheckHostname:    true,

		ClientID:           programName(os.Args),
		RequestTimeout:     40 * time.Second,
		RetryBackoff:       defaultFirstBackoff,
		ConnectionsMaxIdle: 3 * time.Minute,

		Acks:           AcksAll,
		Idempotent:     true,
		Compression:    wire.None,
		Linger:         5 * time.Millisecond,
		MaxBatchSize:   512 << 10,
		MaxRequestSize: 1 << 20,

		FetchMaxWait:           500 * time.Millisecond,
		FetchMinBytes:          1,
		FetchMaxBytes:          50 << 20,
		MaxPartitionFetchBytes: 1 << 20,
		IsolationLevel:         ReadCommitted,

		AutoOffsetReset:    Earliest,
		AutoCommitInterval: time.Second,
		SessionTimeout:     10 * time.Second,
		HeartbeatInterval:  3 * time.Second,
		RebalanceTimeout:   5 * time.Minute,
	}
}

// programName returns the name of the program's file, from its arguments.
func programName(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "kafkaesk"
	}
	return strings.TrimSuffix(filepath.Base(args[0]), ".exe")
}

// Backoff returns the pauses between attempts that these settings ask for.
func (s Settings) Backoff() Backoff { return Backoff{First: s.RetryBackoff} }

func (s Settings) usesTLS() bool {
	return s.SecurityProtocol == SSL || s.SecurityProtocol == SASLSSL
}

func (s Settings) usesSASL() bool {
	return s.SecurityProtocol == SASLPlaintext || s.SecurityProtocol == SASLSSL
}

// isolation returns the level's number on the wire.
func (s Settings) isolation() int8 {
	if s.IsolationLevel == ReadCommitted {
		return 1
	}
	return 0
}

// HideSecrets replaces the passwords in raw, which are strings as a rule, by a [Secret] of each.
func HideSecrets(raw map[string]any) {
	for _, name := range []string{"sasl_plain_password", "ssl_password"} {
		if s, ok := raw[name].(string); ok {
			raw[name] = NewSecret(s)
		}
	}
}

// SameSettings reports whether two maps have the same settings, whether their passwords are hidden or not.
func SameSettings(a, b map[string]any) bool {
	return maps.EqualFunc(a, b, func(x, y any) bool { return reflect.DeepEqual(revealed(x), revealed(y)) })
}

func revealed(setting any) any {
	if s, ok := setting.(Secret); ok {
		return s.Reveal()
	}
	return setting
}

// ParseSettings reads settings in aiokafka's names. Values are what JSON decodes to, Go's own numbers, strings and
// booleans, or a time.Duration where aiokafka wants milliseconds; nil means "not set".
//
// A setting that aiokafka knows and that means nothing here is a warning. One whose meaning would be lost, one that
// nobody knows, and one out of its range are errors: all of them are reported, joined into one. No value of a secret,
// or of an unknown setting (it may be a misspelt secret), is part of any text.
func ParseSettings(raw map[string]any) (s Settings, warnings []string, err error) {
	return ParseSecured(raw, Security{})
}

// ParseSecured is ParseSettings for an application that gives TLS or credentials as Go values. Settings that say the
// same are an error. Without security_protocol the protocol is SASL_SSL with credentials, else SSL with TLS.
func ParseSecured(raw map[string]any, sec Security) (s Settings, warnings []string, err error) {
	s = DefaultSettings()
	table := settingTable()
	var errs []error
	given := make(map[string]bool, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		set, known := table[name]
		if !known {
			errs = append(errs, fmt.Errorf("kafka: unknown setting %q%s", name, suggest(name, table)))
			continue
		}
		if raw[name] == nil {
			continue
		}
		given[name] = true
		warning, err := set(&s, raw[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("kafka: setting %s: %w", name, err))
		}
		if warning != "" {
			warnings = append(warnings, fmt.Sprintf("kafka setting %s: %s", name, warning))
		}
	}
	errs = append(errs, sec.apply(&s, given))
	more, err := s.reconcile(given)
	return s, append(warnings, more...), errors.Join(append(errs, err)...)
}

// reconcile derives what one setting means for another, and checks that they agree. given has the names that were set.
func (s *Settings) reconcile(given map[string]bool) (warnings []string, err error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("kafka: "+format, args...)) }

	s.CompressionGiven = given["compression_type"]
	if s.Acks == AcksLeader {
		if given["enable_idempotence"] && s.Idempotent {
			fail(`setting enable_idempotence needs acks="all": a leader alone cannot promise it`)
		}
		s.Idempotent = false
	}
	if s.HeartbeatInterval > s.SessionTimeout/2 {
		fail("heartbeat_interval_ms (%s) must be at most half of session_timeout_ms (%s), better a third: one lost "+
			"heartbeat would end the membership",
			s.HeartbeatInterval, s.SessionTimeout)
	}
	if s.RebalanceTimeout < s.SessionTimeout {
		fail("rebalance_timeout_ms or max_poll_interval_ms (%s) must not be below session_timeout_ms (%s)",
			s.RebalanceTimeout, s.SessionTimeout)
	}
	if s.FetchMaxWait >= s.RequestTimeout {
		fail("fetch_max_wait_ms (%s) must be below request_timeout_ms (%s)", s.FetchMaxWait, s.RequestTimeout)
	}
	if s.FetchMinBytes > s.FetchMaxBytes {
		fail("fetch_min_bytes (%d) must not be above fetch_max_bytes (%d)", s.FetchMinBytes, s.FetchMaxBytes)
	}

	if s.usesSASL() {
		byPassword := s.SASL == nil && s.SASLMechanism != MechanismOAuthBearer // which is refused as a setting
		if byPassword && (s.SASLUsername == "" || !s.SASLPassword.IsSet()) {
			fail("security_protocol %s needs sasl_plain_username and sasl_plain_password", s.SecurityProtocol)
		}
	} else {
		for _, name := range saslSettings() {
			if given[name] {
				warnings = append(warnings, fmt.Sprintf("kafka setting %s: not used with security_protocol %s: set SASL_SSL or "+
					"SASL_PLAINTEXT", name, s.SecurityProtocol))
			}
		}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		fail("ssl_certfile and ssl_keyfile come together: one is missing")
	}
	if !s.usesTLS() {
		for _, name := range sslSettings() {
			if given[name] {
				warnings = append(warnings, fmt.Sprintf("kafka setting %s: not used with security_protocol %s: set SSL or SASL_SSL",
					name, s.SecurityProtocol))
			}
		}
	}
	return warnings, errors.Join(errs...)
}
