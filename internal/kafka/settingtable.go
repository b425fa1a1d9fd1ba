package kafka

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/near"
)

// setter puts one value, which is not nil, into Settings. A warning says why the value changes nothing.
type setter func(s *Settings, value any) (warning string, err error)

// settingTable has every name that aiokafka's consumer, producer and admin client know, and ours (ssl_*, acks and the
// like).
func settingTable() map[string]setter {
	const (
		// Durations and sizes travel as int32.
		longest = math.MaxInt32 * time.Millisecond
		largest = math.MaxInt32
	)
	return map[string]setter{
		"security_protocol": oneOf(func(s *Settings) *string { return &s.SecurityProtocol }, Plaintext, SSL, SASLPlaintext,
			SASLSSL),
		"sasl_mechanism":      saslMechanism,
		"sasl_plain_username": text(func(s *Settings) *string { return &s.SASLUsername }),
		"sasl_plain_password": secret(func(s *Settings) *Secret { return &s.SASLPassword }),
		"ssl_cafile":          text(func(s *Settings) *string { return &s.CAFile }),
		"ssl_certfile":        text(func(s *Settings) *string { return &s.CertFile }),
		"ssl_keyfile":         text(func(s *Settings) *string { return &s.KeyFile }),
		"ssl_password":        secret(func(s *Settings) *Secret { return &s.KeyPassword }),
		"ssl_check_hostname":  flag(func(s *Settings) *bool { return &s.CheckHostname }),

		"client_id": text(func(s *Settings) *string { return &s.ClientID }),
		"request_timeout_ms": millis(func(s *Settings) *time.Duration { return &s.RequestTimeout }, 100*time.Millisecond,
			longest),
		"retry_backoff_ms": millis(func(s *Settings) *time.Duration { return &s.RetryBackoff }, time.Millisecond,
			defaultMaxBackoff),
		"metadata_max_age_ms": millis(func(s *Settings) *time.Duration { return &s.MetadataMaxAge }, 100*time.Millisecond,
			longest),
		"connections_max_idle_ms": millis(func(s *Settings) *time.Duration { return &s.ConnectionsMaxIdle }, time.Second,
			longest),

		"acks":               acks,
		"enable_idempotence": flag(func(s *Settings) *bool { return &s.Idempotent }),
		"compression_type":   compression,
		"linger_ms":          millis(func(s *Settings) *time.Duration { return &s.Linger }, 0, time.Minute),
		"max_batch_size":     count(func(s *Settings) *int { return &s.MaxBatchSize }, 1, largest),
		"max_request_size":   count(func(s *Settings) *int { return &s.MaxRequestSize }, 1, largest),

		"fetch_max_wait_ms":         millis(func(s *Settings) *time.Duration { return &s.FetchMaxWait }, 0, longest),
		"fetch_min_bytes":           count(func(s *Settings) *int { return &s.FetchMinBytes }, 0, largest),
		"fetch_max_bytes":           count(func(s *Settings) *int { return &s.FetchMaxBytes }, 1, largest),
		"max_partition_fetch_bytes": count(func(s *Settings) *int { return &s.MaxPartitionFetchBytes }, 1, largest),
		"client_rack":               text(func(s *Settings) *string { return &s.ClientRack }),
		"isolation_level": oneOf(func(s *Settings) *string { return &s.IsolationLevel }, ReadCommitted,
			ReadUncommitted),

		"auto_offset_reset": oneOf(func(s *Settings) *string { return &s.AutoOffsetReset }, Earliest, Latest, NoReset),
		"auto_commit_interval_ms": millis(func(s *Settings) *time.Duration { return &s.AutoCommitInterval },
			10*time.Millisecond, longest),
		"session_timeout_ms": millis(func(s *Settings) *time.Duration { return &s.SessionTimeout }, time.Second,
			longest),
		"heartbeat_interval_ms": millis(func(s *Settings) *time.Duration { return &s.HeartbeatInterval },
			10*time.Millisecond, longest),
		// Settings are read in the order of their names, so that rebalance_timeout_ms wins.
		"max_poll_interval_ms": millis(func(s *Settings) *time.Duration { return &s.RebalanceTimeout }, time.Second, longest),
		"rebalance_timeout_ms": millis(func(s *Settings) *time.Duration { return &s.RebalanceTimeout }, time.Second, longest),
		"max_poll_records":     count(func(s *Settings) *int { return &s.MaxPollRecords }, 1, largest),
		"group_instance_id":    text(func(s *Settings) *string { return &s.GroupInstanceID }),

		"api_version":                   ignored("versions are agreed with each broker"),
		"bootstrap_servers":             ignored("the servers are configured beside the settings, not in them"),
		"check_crcs":                    ignored("checksums are always verified"),
		"consumer_timeout_ms":           ignored("there is no polling iterator here"),
		"exclude_internal_topics":       ignored("Kafka's internal topics are never read"),
		"group_id":                      ignored("each subscription names its own group"),
		"loop":                          ignored("there is no event loop here"),
		"partition_assignment_strategy": ignored("the group's members agree on an assignor among those that all offer"),
		"sasl_kerberos_domain_name":     ignored("it belongs to GSSAPI, which is not supported"),
		"sasl_kerberos_service_name":    ignored("it belongs to GSSAPI, which is not supported"),
		"transaction_timeout_ms":        ignored("it belongs to transactions, which are not supported"),

		"enable_auto_commit": enableAutoCommit,
		"key_deserializer":   refused("keys are bytes; convert them in the handler"),
		"key_serializer":     refused("keys are bytes; convert them before publishing"),
		"value_deserializer": refused("values are envelopes; convert their data in the handler, or subscribe with " +
			"[]byte"),
		"value_serializer":          refused("values are envelopes; publish what is ready with PublishRaw"),
		"partitioner":               refused("keys are placed by murmur2, as Kafka's own clients place them"),
		"sasl_oauth_token_provider": refused("it is a Python object; " + oauthBearer),
		"ssl_context": refused("it is a Python object; use ssl_cafile, ssl_certfile, ssl_keyfile and ssl_check_hostname, " +
			"or the program's Config.TLS"),
		"transactional_id": refused("transactions are not supported; publishing is idempotent without them"),
	}
}

// oauthBearer says how a program logs in by tokens.
const oauthBearer = "set the program's Config.SASL to bus.SASLOAuthBearer"

// ignored is a setting of aiokafka that changes nothing here.
func ignored(why string) setter {
	return func(*Settings, any) (string, error) { return "ignored: " + why, nil }
}

// refused is a setting of aiokafka that would mean something here, which cannot be done.
func refused(why string) setter {
	return func(*Settings, any) (string, error) { return "", errors.New("not supported: " + why) }
}

func text(field func(*Settings) *string) setter {
	return func(s *Settings, value any) (string, error) {
		v, ok := value.(string)
		if !ok {
			return "", wants("a string", value)
		}
		*field(s) = v
		return "", nil
	}
}

func secret(field func(*Settings) *Secret) setter {
	return func(s *Settings, value any) (string, error) {
		switch v := value.(type) {
		case string:
			*field(s) = NewSecret(v)
		case Secret:
			*field(s) = v
		default:
			return "", wants("a string", value)
		}
		return "", nil
	}
}

func oneOf(field func(*Settings) *string, allowed ...string) setter {
	return func(s *Settings, value any) (string, error) {
		v, ok := value.(string)
		if !ok {
			return "", wants("a string", value)
		}
		if !slices.Contains(allowed, v) {
			return "", fmt.Errorf("%q is not one of %s", v, strings.Join(allowed, ", "))
		}
		*field(s) = v
		return "", nil
	}
}

func flag(field func(*Settings) *bool) setter {
	return func(s *Settings, value any) (string, error) {
		v, ok := value.(bool)
		if !ok {
			return "", wants("true or false", value)
		}
		*field(s) = v
		return "", nil
	}
}

func count(field func(*Settings) *int, least, most int64) setter {
	return func(s *Settings, value any) (string, error) {
		n, err := integer(value)
		if err != nil {
			return "", err
		}
		if n < least || n > most {
			return "", fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		*field(s) = int(n)
		return "", nil
	}
}

func millis(field func(*Settings) *time.Duration, least, most time.Duration) setter {
	return func(s *Settings, value any) (string, error) {
		d, ok := value.(time.Duration)
		if !ok {
			n, err := integer(value)
			if err != nil {
				return "", err
			}
			if n < least.Milliseconds() || n > most.Milliseconds() {
				return "", fmt.Errorf("%d is not between %d and %d milliseconds", n, least.Milliseconds(), most.Milliseconds())
			}
			d = time.Duration(n) * time.Millisecond
		}
		if d < least || d > most {
			return "", fmt.Errorf("%s is not between %s and %s", d, least, most)
		}
		*field(s) = d
		return "", nil
	}
}

func saslMechanism(s *Settings, value any) (string, error) {
	switch value {
	case "GSSAPI":
		return "", errors.New("GSSAPI is not supported; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	case MechanismOAuthBearer:
		s.SASLMechanism = MechanismOAuthBearer
		return "", errors.New("OAUTHBEARER needs a function for its tokens, which no setting can be: leave the setting out " +
			"and " +
			oauthBearer + "; a program without code of yours, as logtail is, logs in by PLAIN or SCRAM")
	}
	return oneOf(func(s *Settings) *string { return &s.SASLMechanism }, passwordMechanisms()...)(s, value)
}

func compression(s *Settings, value any) (string, error) {
	name, ok := value.(string)
	if !ok {
		return "", wants("a string", value)
	}
	c, err := wire.ParseCompression(name)
	if err != nil {
		return "", err
	}
	s.Compression = c
	return "", nil
}

func acks(s *Settings, value any) (string, error) {
	name, ok := value.(string)
	if !ok {
		n, err := integer(value)
		if err != nil {
			return "", err
		}
		name = fmt.Sprint(n)
	}
	switch name {
	case "all", "-1":
		s.Acks = AcksAll
	case "1":
		s.Acks = AcksLeader
	case "0":
		return "", errors.New(`not supported: with 0 the broker answers nothing, and a record that it refuses looks ` +
			`published; use "all"`)
	default:
		return "", fmt.Errorf(`%q is not one of "all", -1, 1`, name)
	}
	return "", nil
}

func enableAutoCommit(_ *Settings, value any) (string, error) {
	switch value {
	case true:
		return "ignored: it is the default", nil
	case false:
		return "", errors.New("not supported here: set ManualCommit of bus.Config, or of the subscription")
	}
	return "", wants("true or false", value)
}

// integer accepts every number that is a whole one.
func integer(value any) (int64, error) {
	switch v := value.(type) {
	case int:
		return int64(v), nil
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint8:
		return int64(v), nil
	case uint16:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint:
		return integer(uint64(v))
	case uint64:
		return int64(min(v, math.MaxInt64)), nil
	case float32:
		return integer(float64(v))
	case float64:
		// 2^53: beyond it a float does not hold every whole number. NaN fails the comparison.
		if v != math.Trunc(v) || !(math.Abs(v) <= 1<<53) {
			return 0, fmt.Errorf("%v is not a whole number", v)
		}
		return int64(v), nil
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return 0, errors.New("not a whole number")
		}
		return n, nil
	default:
		return 0, wants("a whole number", value)
	}
}

// wants names the type of a wrong value, not the value: it may be a secret in the wrong place.
func wants(what string, value any) error { return fmt.Errorf("wants %s, got a %T", what, value) }

// suggest lists the known names that are near an unknown one.
func suggest(name string, table map[string]setter) string {
	return cmp.Or(near.DidYouMean(name, maps.Keys(table)), ": settings have aiokafka's names")
}
