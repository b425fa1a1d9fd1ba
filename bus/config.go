package bus

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Config configures an App. Its zero value is complete except for Servers, which [App.Configure] can add later.
type Config struct {
	// Servers are the brokers that the App asks first, each as host:port (bootstrap.servers). The App learns the
	// others of the cluster from them.
	Servers []string
	// TopicPrefix stands in front of every stream's name and makes its topic, with nothing between them. It is not
	// part of a group's name. A prefix that ends in a letter or a digit gives a warning, because the patterns of an
	// App with the prefix "app" also match topics of the prefix "apple.". Defaults to none.
	TopicPrefix string
	// ReplicationFactor is that of the topics that the App creates. Defaults to the number of brokers in the cluster,
	// at most 3.
	ReplicationFactor int
	// CreateTopics says whether the App creates the topics that it publishes to: those of its schemas' streams, of
	// dead letters and of retries. Defaults to true, which nil means. With new(false) a missing topic is an error of
	// [App.Initialize] or of the publish, at once, and a dead letter waits for its topic, which [App.Health] reports.
	CreateTopics *bool
	// Settings are the client's settings in aiokafka's names. Defaults to none.
	Settings Settings
	// TLS is the configuration of the connections by TLS, instead of the settings ssl_*. With it a program has a pool of
	// certificates of its own, rotates a client certificate (GetClientCertificate), or has its key in hardware. It is
	// cloned. ServerName is the host of each broker's address, unless TLS has one. Without the setting security_protocol
	// the protocol is SSL, or SASL_SSL with SASL. Printing a Config does not print its private keys, with one exception:
	// fmt prints them, with %s for example, where the Config is in an unexported field of another struct. Defaults to what
	// the settings say.
	TLS *tls.Config
	// SASL is how the App logs in, instead of the settings sasl_*. Without the setting security_protocol the protocol
	// is SASL_SSL. Defaults to what the settings say.
	SASL *SASL
	// Logger gets the App's own log records. They are never shipped by a slogkafka handler, even when it is part of
	// this logger. The logger that slog.Default returns before any slog.SetDefault is replaced by one that writes
	// text to standard error. Defaults to warnings and errors as text on standard error.
	Logger *slog.Logger
	// ManualCommit makes every subscription one with the option [ManualCommit] (enable.auto.commit=false): only
	// [Message.Commit] and [Commit] commit. Defaults to false.
	ManualCommit bool
	// DrainTimeout is how long running handlers may finish when partitions are taken away, when Run ends, and at
	// Close. Defaults to 30s.
	DrainTimeout time.Duration
	// TracerProvider makes the spans of consumed records and of publishes: one for each call of Publish,
	// PublishAsync, PublishRaw and Forward, and one for a PublishBatch whose context belongs to a trace. Defaults to
	// OpenTelemetry's global one, as it is when [App.Run] begins and when the App is initialized.
	TracerProvider trace.TracerProvider
	// PublishTimeout is how long a publish may take whose context has no deadline, from the call to the
	// acknowledgement (delivery.timeout.ms). After it the error wraps [os.ErrDeadlineExceeded], and
	// [ErrUnacknowledged] if the record may be stored. Log records, retries and dead letters wait without a limit.
	// Defaults to 2m; negative: none.
	PublishTimeout time.Duration
	// MaxBufferedRecords is how many published records may wait for their acknowledgement. A publish blocks beyond
	// it. Defaults to 250,000.
	MaxBufferedRecords int
	// MaxBufferedBytes is how many bytes they may have together (buffer.memory). Defaults to 64 MiB.
	MaxBufferedBytes int64
}

// Format prints the fields as fmt does, and an empty configuration in the place of TLS. With a verb such as %s fmt
// prints what a pointer points to: for TLS that would include the private keys of its certificates.
func (c Config) Format(f fmt.State, verb rune) {
	type config Config // has no methods
	shown := config(c)
	if c.TLS != nil {
		shown.TLS = new(tls.Config)
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), shown)
}

// replace returns c with every field that is set in by replaced by it.
func (c Config) replace(by Config) Config {
	if len(by.Servers) > 0 {
		c.Servers = slices.Clone(by.Servers)
	}
	if by.TopicPrefix != "" {
		c.TopicPrefix = by.TopicPrefix
	}
	if by.ReplicationFactor != 0 {
		c.ReplicationFactor = by.ReplicationFactor
	}
	if by.CreateTopics != nil {
		c.CreateTopics = new(*by.CreateTopics)
	}
	if by.Settings != nil {
		c.Settings = maps.Clone(by.Settings)
		kafka.HideSecrets(c.Settings)
	}
	if by.TLS != nil {
		c.TLS = by.TLS.Clone()
	}
	if by.SASL != nil {
		c.SASL = by.SASL
	}
	if by.Logger != nil {
		c.Logger = by.Logger
	}
	if by.ManualCommit {
		c.ManualCommit = true
	}
	if by.DrainTimeout != 0 {
		c.DrainTimeout = by.DrainTimeout
	}
	if by.TracerProvider != nil {
		c.TracerProvider = by.TracerProvider
	}
	if by.PublishTimeout != 0 {
		c.PublishTimeout = by.PublishTimeout
	}
	if by.MaxBufferedRecords != 0 {
		c.MaxBufferedRecords = by.MaxBufferedRecords
	}
	if by.MaxBufferedBytes != 0 {
		c.MaxBufferedBytes = by.MaxBufferedBytes
	}
	return c
}

func (c Config) createTopics() bool { return c.CreateTopics == nil || *c.CreateTopics }

// Settings are connection and client settings by the names that aiokafka gives them, as Python's kafkaesk takes them:
//
//	bus.Settings{"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN",
//		"sasl_plain_username": "u", "sasl_plain_password": "p"}
//
// docs/settings.md has each one with its type, its range, its default, and Kafka's name. These take effect; the
// default is in brackets:
//
//   - connection: client_id (the program's name), request_timeout_ms (40 s), retry_backoff_ms (100 ms),
//     connections_max_idle_ms (3 min), metadata_max_age_ms
//   - security: security_protocol (PLAINTEXT), sasl_mechanism (PLAIN; or SCRAM-SHA-256, SCRAM-SHA-512; for
//     OAUTHBEARER see [Config.SASL]), sasl_plain_username, sasl_plain_password, ssl_cafile, ssl_certfile,
//     ssl_keyfile, ssl_password, ssl_check_hostname (true)
//   - publishing: acks (all), enable_idempotence (true), compression_type (none, and snappy for log streams; or gzip,
//     lz4, zstd), linger_ms (5 ms), max_batch_size (512 KiB), max_request_size (1 MiB)
//   - reading: client_rack (none), isolation_level (read_committed), fetch_max_wait_ms (500 ms), fetch_min_bytes (1),
//     fetch_max_bytes (50 MiB), max_partition_fetch_bytes (1 MiB)
//   - groups: auto_offset_reset (earliest), auto_commit_interval_ms (1 s), session_timeout_ms (10 s),
//     heartbeat_interval_ms (3 s), rebalance_timeout_ms or max_poll_interval_ms (5 min), max_poll_records,
//     group_instance_id
//
// Times are numbers of milliseconds. A setting that has no effect here logs a warning. An unknown or unsupported
// setting is an error of [App.Initialize].
//
// Settings may hold secrets, so they print their names only, whatever the verb. There is one exception: when Settings,
// or a Config, are in an unexported field of another struct, fmt prints the values of a map that the program writes
// itself, as the one above. Passwords from [ParseSettings], [ConfigFromEnv] and an [App] do not print there either. So
// read the map from a file by ParseSettings, or give the password by [SASLPassword].
//
// The user and the password are sent to every address that the cluster names as a broker's, not to Servers alone. To
// send them to your own brokers only, set SASL_SSL, and ssl_cafile to a certificate authority that signs your brokers'
// certificates and no others. PLAIN sends the password as it is; without TLS anybody in between can read it.
type Settings map[string]any

// ParseSettings reads Settings from a JSON object, as --kafka-settings takes it, and checks them as [App.Initialize]
// does, without asking a broker. An empty text means none. The passwords in the Settings are never printed.
func ParseSettings(text string) (Settings, error) {
	if text == "" {
		return nil, nil
	}
	var s Settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf(`bus: settings are not a JSON object such as {"security_protocol":"SSL"}: %w`, err)
	}
	if _, _, err := kafka.ParseSettings(s); err != nil {
		return nil, fmt.Errorf("bus: settings: %w", err)
	}
	kafka.HideSecrets(s)
	return s, nil
}

// String lists the names that are set.
func (s Settings) String() string {
	return fmt.Sprintf("settings%v", slices.Sorted(maps.Keys(s)))
}

// Format prints what String returns, whatever the verb.
func (s Settings) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue keeps the values out of log records.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes the names with their values hidden.
func (s Settings) MarshalJSON() ([]byte, error) {
	hidden := make(map[string]string, len(s))
	for name := range s {
		hidden[name] = "[hidden]"
	}
	return json.Marshal(hidden)
}
