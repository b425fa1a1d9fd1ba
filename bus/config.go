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

// Config configures an [App]. Its zero value is complete but for Servers, which [App.Configure] can bring later.
type Config struct {
	// Servers are the brokers to ask first, each as host:port. The App finds the others of the cluster through them.
	Servers []string
	// TopicPrefix stands in front of every stream's name to make its topic, nothing in between. One that ends in a letter
	// or a digit gets a warning: a pattern of an App with the prefix "app" matches topics of "apple.", too. Defaults to
	// none.
	TopicPrefix string
	// ReplicationFactor is that of the topics the App creates. Defaults to the number of brokers in the cluster, at most
	// 3.
	ReplicationFactor int
	// CreateTopics says whether the App creates the topics that it publishes to: those of its schemas' streams, of
	// dead letters and of retries. Nil means true. Set it to new(false) where others create topics: then a topic that
	// is missing is an error of [App.Initialize] or of the publish, at once, and a dead letter waits for its topic
	// ([App.Health] tells).
	CreateTopics *bool
	// Settings are the client's settings in aiokafka's names. Defaults to none.
	Settings Settings
	// TLS is how the App connects by TLS, instead of the settings ssl_*: with a pool of certificates, a client
	// certificate that is rotated (GetClientCertificate) or a key in hardware. It is cloned. ServerName is the host of
	// each broker's address, unless TLS has one. Without the setting security_protocol it makes it SSL, or SASL_SSL with
	// SASL. Defaults to what the settings say.
	TLS *tls.Config
	// SASL is how the App logs in, instead of the settings sasl_*. Without the setting security_protocol it makes it
	// SASL_SSL. Defaults to what the settings say.
	SASL *SASL
	// Logger takes the App's own log records. They never travel through a slogkafka handler, even when it is part of this
	// logger. The logger that slog.Default returns before any slog.SetDefault stands for text on standard error. Defaults
	// to warnings and errors as text on standard error.
	Logger *slog.Logger
	// ManualCommit makes every subscription one with the option [ManualCommit] (Kafka's enable.auto.commit=false): only
	// what [Message.Commit] or [Commit] is called for is committed. Defaults to false.
	ManualCommit bool
	// DrainTimeout is how long running handlers may finish when partitions are taken away or at Close. Defaults to 30s.
	DrainTimeout time.Duration
	// TracerProvider makes the spans of consumed records, and of publishes: one for each call of Publish, PublishAsync,
	// PublishRaw and Forward, and one for a PublishBatch whose context belongs to a trace. Defaults to OpenTelemetry's
	// global one as it is when [App.Run] begins, and when the App is initialized.
	TracerProvider trace.TracerProvider
	// PublishTimeout is how long a publish may take whose context has no deadline, from the call to the
	// acknowledgement; Kafka's property delivery.timeout.ms. The error of one that takes longer wraps
	// [os.ErrDeadlineExceeded], and [ErrUnacknowledged] if the record may have been written. Records of slogkafka's
	// handlers, retries and dead letters wait as long as it takes. Defaults to 2m; negative: none.
	PublishTimeout time.Duration
	// MaxBufferedRecords bounds how many published records wait for their acknowledgement (PublishAsync blocks beyond it).
	// Defaults to 250,000.
	MaxBufferedRecords int
	// MaxBufferedBytes bounds the same in bytes. Defaults to 64 MiB.
	MaxBufferedBytes int64
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
// These are honoured; in brackets is what they default to:
//
//   - the connection: client_id (the name of the program), request_timeout_ms (40 s), retry_backoff_ms (100 ms),
//     connections_max_idle_ms (3 min), metadata_max_age_ms
//   - its security: security_protocol (PLAINTEXT), sasl_mechanism (PLAIN; or SCRAM-SHA-256, SCRAM-SHA-512; for
//     OAUTHBEARER see [Config.SASL]), sasl_plain_username, sasl_plain_password, ssl_cafile, ssl_certfile, ssl_keyfile,
//     ssl_password, ssl_check_hostname (true)
//   - publishing: acks (all), enable_idempotence (true), compression_type (none, and snappy for log streams; or gzip,
//     lz4, zstd), linger_ms (5 ms), max_batch_size (512 KiB), max_request_size (1 MiB)
//   - reading: client_rack (none; where the program runs, as broker.rack names it: brokers with a rack-aware
//     replica.selector.class then have it read from the nearest replica), isolation_level (read_committed),
//     fetch_max_wait_ms (500 ms), fetch_min_bytes (1), fetch_max_bytes (50 MiB), max_partition_fetch_bytes (1 MiB)
//   - groups: auto_offset_reset (earliest), auto_commit_interval_ms (1 s), session_timeout_ms (10 s),
//     heartbeat_interval_ms (3 s), rebalance_timeout_ms or max_poll_interval_ms (5 min), max_poll_records,
//     group_instance_id
//
// With acks 1 only the partition's leader has a record when it is acknowledged, so the record is lost if that broker is
// lost. The producer is not idempotent then.
//
// Times are numbers of milliseconds. A name that aiokafka knows and that means nothing here is a warning in the log; a
// setting that cannot be honoured and would change the meaning, or a name nobody knows, is an error of
// [App.Initialize].
//
// Settings may hold secrets, so they print their names only, whatever the verb. Go's fmt cannot keep to that where a
// Config or Settings stand in an unexported field of another struct: there it prints the map's values. [ParseSettings],
// [ConfigFromEnv] and an [App] hold each password in a value that does not print there either. A map that a program
// writes itself, as the one above, holds plain strings and prints them: read it from a file by ParseSettings, or give
// the password by [SASLPassword].
//
// The user and the password are sent to every address that the cluster names as a broker's, not to Servers alone. With
// SASL_SSL, and an ssl_cafile of an authority of one's own, only brokers that this authority has signed get them: PLAIN
// sends the password as it is, and without TLS so can whoever is in between read it.
type Settings map[string]any

// ParseSettings reads Settings from a JSON object, as --kafka-settings takes it, and checks them as [App.Initialize]
// does: what is wrong on a command line is told before any broker is asked. An empty text means none. The passwords do
// not print, wherever the Settings stand.
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
