package slogkafka

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// Option is an option of [NewHandler]: a [RecordOption] or a [KafkaOption]. A nil one changes nothing.
type Option interface{ shape(*options) }

// StreamOption is an option of [NewStreamHandler]: a [RecordOption] or [Text]. A nil one changes nothing.
type StreamOption interface{ shapeStream(*options) }

// RecordOption sets the content of records, or which records are logged. Both handlers accept it; see [Shared].
type RecordOption func(*options)

func (f RecordOption) shape(o *options) {
	if f != nil {
		f(o)
	}
}

func (f RecordOption) shapeStream(o *options) { f.shape(o) }

// KafkaOption configures the queue and the delivery to Kafka, which a stream handler does not have.
type KafkaOption func(*options)

func (f KafkaOption) shape(o *options) {
	if f != nil {
		f(o)
	}
}

// Shared combines several options, for the fields and other record options that both handlers of a program share:
//
//	shared := slogkafka.Shared(slogkafka.Service("shop"), slogkafka.AddSource())
//	kafka := slogkafka.NewHandler(app, "logs", shared, slogkafka.Linger(time.Second))
//	stderr := slogkafka.NewStreamHandler(os.Stderr, shared, slogkafka.Text())
func Shared(opts ...RecordOption) RecordOption {
	return func(o *options) {
		for _, opt := range opts {
			opt.shape(o)
		}
	}
}

// options are the collected options with their errors.
type options struct {
	record   logrecord.Options
	schema   string // name of the schema
	version  int
	level    slog.Leveler
	records  int
	bytes    int
	linger   time.Duration
	fallback slog.Handler
	key      func(context.Context, slog.Record) []byte
	stream   func(context.Context, slog.Record) string
	invalid  func(context.Context, InvalidRecord) string
	sampler  *sampler
	text     bool
	err      error

	policies       []levelPolicy // lowest level first
	flushOn        slog.Leveler
	flushTime      time.Duration
	whenConfigured bool
	retention      time.Duration
	partitions     int
	spoolSync      time.Duration
}

const (
	defaultName    = "LogRecord"
	defaultRecords = 100_000
	defaultBytes   = 32 << 20
	defaultLinger  = 2 * time.Millisecond
	defaultSync    = 500 * time.Millisecond
)

func newOptions() options {
	return options{
		schema: defaultName, version: 1, level: slog.LevelInfo,
		records: defaultRecords, bytes: defaultBytes, linger: defaultLinger, spoolSync: defaultSync,
	}
}

// collect applies the options of NewHandler.
func collect(opts []Option) options {
	o := options{schema: defaultName, version: 1, level: slog.LevelInfo, records: defaultRecords, bytes: defaultBytes,
		linger: defaultLinger, spoolSync: defaultSync}
	for _, opt := range opts {
		if opt != nil {
			opt.shape(&o)
		}
	}
	o.record.SchemaID = o.schema + ":" + strconv.Itoa(o.version)
	return o
}

// collectStream applies the options of NewStreamHandler.
func collectStream(opts []StreamOption) options {
	o := newOptions()
	for _, opt := range opts {
		if opt != nil {
			opt.shapeStream(&o)
		}
	}
	if o.text { // the renderer knows the names in Kafka
		o.record.Preset, o.record.Rename = logrecord.Kafkaesk, nil
	}
	return o
}

// refuse records the error of an option, which is then ignored.
func (o *options) refuse(format string, args ...any) {
	o.err = errors.Join(o.err, fmt.Errorf("slogkafka: "+format, args...))
}

// Level sets the lowest level that is logged. A nil level changes nothing. Defaults to slog.LevelInfo.
func Level(l slog.Leveler) RecordOption {
	return func(o *options) {
		if l != nil {
			o.level = l
		}
	}
}

// AddSource adds the field source to each record: function, file and line of the log call. Defaults to off.
func AddSource() RecordOption { return func(o *options) { o.record.AddSource = true } }

// Trace fills the field trace with the stack of the log call, for records from level l on. Defaults to never.
func Trace(l slog.Leveler) RecordOption { return func(o *options) { o.record.Trace = l } }

// ReplaceAttr sets a function that is called for each attribute that is not a group, as that of slog.HandlerOptions
// is. What it returns is logged instead; the zero Attr leaves the attribute out. Values are resolved before. It is
// not called for base fields. For a log model it is called with the model as one attribute, and then with each of its
// fields and those of the structs in it, of which it can replace the value and not the key. It may be called
// concurrently. Defaults to none.
func ReplaceAttr(f func(groups []string, a slog.Attr) slog.Attr) RecordOption {
	return func(o *options) { o.record.ReplaceAttr = f }
}

// FromContext sets a function that returns attributes from the context of a log call, such as the id of a request.
// They are fields at the top of the record, also for loggers with groups; attributes of With and of the call with the
// same key replace them. It may be called concurrently, and may be given several times. When it panics, the record is
// logged without its attributes, and has the text in schema_errors: "FromContext: panic: <text>". Defaults to none.
func FromContext(f func(ctx context.Context) []slog.Attr) RecordOption {
	return func(o *options) {
		switch before := o.record.FromContext; {
		case f == nil:
		case before == nil:
			o.record.FromContext = f
		default:
			o.record.FromContext = func(ctx context.Context) []slog.Attr { return slices.Concat(before(ctx), f(ctx)) }
		}
	}
}

// HashKey sets the key for fields of log models that have the tag log:"hash". Such a field is the HMAC with SHA-256
// of its value, in hex. Without a key it is "[redacted]", as with the tag log:"redact".
func HashKey(key []byte) RecordOption {
	key = bytes.Clone(key)
	return func(o *options) {
		if len(key) > 0 {
			o.record.Hash = func() hash.Hash { return hmac.New(sha256.New, key) }
		}
	}
}

// Format sets a function that makes the base of each record: a struct whose fields take the place of the twelve base
// fields. A base field that the struct does not have is null in Kafka, and is left out by a stream handler. Models
// and attributes are merged over it. The struct need not be a log model. When the function returns nil or panics, the
// record has its usual base. It may be called concurrently. Defaults to none.
func Format(f func(ctx context.Context, r slog.Record) any) RecordOption {
	return func(o *options) { o.record.Format = f }
}

// LevelNames gives levels names: the severity "NOTICE" to slog.Level(2), for example. A level between two that have
// names has the lower one's. Defaults to DEBUG, INFO, WARNING and ERROR, and CRITICAL from slog level 12 on.
func LevelNames(names map[slog.Level]string) RecordOption {
	return func(o *options) { o.record.Levels = maps.Clone(names) }
}

// TextDurations writes attributes that are durations as text, such as "1.5s". Defaults to nanoseconds. A duration
// inside a model or another value stays a number, as its schema says.
func TextDurations() RecordOption { return func(o *options) { o.record.TextDurations = true } }

// Sample logs a part of the records that have the same level and message. Sample(10, 100, time.Second), for example,
// logs the first 10 in each second, and then one of every 100. If every is 0, none is logged after the first ones.
// Records belong to periods by their own times. Stats.Sampled counts what is left out; it does not count as accepted.
// Defaults to all records.
func Sample(first, every int, per time.Duration) RecordOption {
	return func(o *options) {
		if first < 0 || every < 0 || first == 0 && every == 0 || per <= 0 {
			o.refuse("sample the first %d and one of every %d in %v: the period and one of the numbers must be positive",
				first, every, per)
			return
		}
		o.sampler = &sampler{first: uint64(first), every: uint64(every), per: per, seed: maphash.MakeSeed()}
	}
}

// Names gives the base fields of a stream handler's records the names of a preset. Records in Kafka always have the
// names that their readers know, and [Text] looks the same with any. Defaults to logrecord.Kafkaesk.
func Names(p logrecord.Preset) RecordOption { return func(o *options) { o.record.Preset = p } }

// Rename gives a base field, by its name in Kafka such as "message", another name in the records of a stream handler.
// It wins over [Names]. Records in Kafka keep their names.
func Rename(field, name string) RecordOption {
	return func(o *options) {
		if name == "" {
			o.refuse("rename %q: the new name is empty; use Omit to leave a field out", field)
			return
		}
		o.setName(field, name)
	}
}

// Omit leaves base fields out, such as "hostname", by their names in Kafka. In Kafka the base fields are always
// there: logger, hostname, service, namespace, cluster, exception, trace and stack are null instead, and the others
// stay.
func Omit(fields ...string) RecordOption {
	return func(o *options) {
		for _, field := range fields {
			o.setName(field, "")
		}
	}
}

func (o *options) setName(field, name string) {
	if !logrecord.IsOwnField(field) {
		o.refuse("records have no own field %q; give its name in Kafka, such as %q", field, "hostname")
		return
	}
	if o.record.Rename == nil {
		o.record.Rename = map[string]string{}
	}
	o.record.Rename[field] = name
}

// Logger sets the field logger. Defaults to null.
func Logger(name string) RecordOption { return func(o *options) { o.record.Base.Logger = &name } }

// Hostname sets the field hostname. Defaults to the host's name.
func Hostname(name string) RecordOption { return func(o *options) { o.record.Base.Hostname = &name } }

// Service sets the field service. Defaults to the hostname without its last two dash-separated parts, as a pod's
// deployment is named: shop-api-7d9f-x2k gives shop-api. It is "unknown" for a hostname without a dash: set it where
// the program is no pod.
func Service(name string) RecordOption { return func(o *options) { o.record.Base.Service = &name } }

// Namespace sets the field namespace. Defaults to the namespace of the Kubernetes service account, else null.
func Namespace(name string) RecordOption { return func(o *options) { o.record.Base.Namespace = &name } }

// Cluster sets the field cluster. Defaults to the environment variable CLUSTER, else null.
func Cluster(name string) RecordOption { return func(o *options) { o.record.Base.Cluster = &name } }

// SchemaID sets the schema's name in the envelopes of the records, with its version, which is 1 when it is left out.
// Defaults to "LogRecord:1".
func SchemaID(id string) KafkaOption {
	return func(o *options) {
		name, digits, found := strings.Cut(id, ":")
		version, err := 1, error(nil)
		if found {
			version, err = strconv.Atoi(digits)
		}
		if name == "" || err != nil || version < 1 {
			o.refuse("schema id %q: want a name and a version of at least 1, as in %q", id, defaultName+":1")
			return
		}
		o.schema, o.version = name, version
	}
}

// Key sets a function that returns the key of a record. Records with the same key are in one partition, and those
// that one goroutine logs keep their order there. A nil key is none. It may be called concurrently. Defaults to none.
func Key(f func(ctx context.Context, r slog.Record) []byte) KafkaOption {
	return func(o *options) { o.key = f }
}

// Stream sets a function that chooses the stream of each record, by its level for example. "" means the stream that
// [StreamOf] has for it, else the handler's. It may be called concurrently. Defaults to none.
func Stream(f func(ctx context.Context, r slog.Record) string) KafkaOption {
	return func(o *options) { o.stream = f }
}

// StreamOf sends the records that have a log model of type T to that stream. When a record has several such models,
// the first one decides. It may be given for several types.
func StreamOf[T any](stream string) KafkaOption {
	return func(o *options) {
		t := reflect.TypeFor[T]()
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if o.record.Route == nil {
			o.record.Route = map[reflect.Type]string{}
		}
		o.record.Route[t] = stream
	}
}

// InvalidRecord is a record with fields that violate the schema of one of its models.
type InvalidRecord struct {
	// Stream is its destination.
	Stream string
	// Value is the record in its envelope: the violating fields are in its field invalid. It must be neither kept nor
	// changed.
	Value []byte
	// Errors are the violations, as in its field schema_errors: "<field>: <keyword>: <text>".
	Errors []string
}

// OnInvalid sets a function for records that break the schema of a model. It returns the stream that the record goes
// to: its own, another one, or "" to drop it, which Stats counts as DroppedInvalid. It is called in the goroutine
// that logs, and may be called concurrently. When it panics, the record goes to its own stream, and the first panic
// is logged to the handler of [Fallback], else on standard error. Defaults to shipping such records like others.
func OnInvalid(f func(ctx context.Context, r InvalidRecord) (stream string)) KafkaOption {
	return func(o *options) { o.invalid = f }
}

func (o *options) newCall() *call {
	return &call{sampler: o.sampler, key: o.key, stream: o.stream, onInvalid: o.invalid}
}

// Text makes a stream handler write for people: one line for each record, with time, level, message and fields, and
// its stack below it. It leaves out hostname, service, namespace and cluster, which are the same in all records. On a
// terminal it uses colours (as NO_COLOR and FORCE_COLOR say) and cuts values of more than about two lines. Nothing in
// a record can control a terminal, or be read as another field or record.
func Text() StreamOption { return streamOption(func(o *options) { o.text = true }) }

// streamOption is an option of stream handlers only.
type streamOption func(*options)

func (f streamOption) shapeStream(o *options) { f(o) }
