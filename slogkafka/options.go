package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// Option is an option of NewHandler or NewStreamHandler. A nil one changes nothing. Those of the queue and of Kafka mean nothing to a stream.
type Option func(*options)

// options are all options, with what is wrong with them.
type options struct {
	record   logrecord.Options
	schema   string // the name of the schema
	version  int
	level    slog.Leveler
	records  int
	bytes    int
	linger   time.Duration
	policy   Policy
	fallback slog.Handler
	key      func(context.Context, slog.Record) []byte
	text     bool
	err      error
}

const (
	defaultName    = "LogRecord"
	defaultRecords = 10_000
	defaultBytes   = 16 << 20
	defaultLinger  = 2 * time.Millisecond
)

func collect(opts []Option) options {
	o := options{schema: defaultName, version: 1, level: slog.LevelInfo, records: defaultRecords, bytes: defaultBytes, linger: defaultLinger, policy: DropNewest}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	o.record.SchemaID = o.schema + ":" + strconv.Itoa(o.version)
	return o
}

// refuse notes that an option cannot be honoured.
func (o *options) refuse(format string, args ...any) {
	o.err = errors.Join(o.err, fmt.Errorf("slogkafka: "+format, args...))
}

// Level sets the lowest level that is logged. A nil one changes nothing. Defaults to slog.LevelInfo.
func Level(l slog.Leveler) Option {
	return func(o *options) {
		if l != nil {
			o.level = l
		}
	}
}

// AddSource adds the field source to each record: function, file and line of the log call. Defaults to off.
func AddSource() Option { return func(o *options) { o.record.AddSource = true } }

// Trace fills the field trace of each record from level l on with the stack of the log call. Defaults to never.
func Trace(l slog.Leveler) Option { return func(o *options) { o.record.Trace = l } }

// ReplaceAttr sets a function that is called for each attribute that is not a group, as that of slog.HandlerOptions is, and
// whose result is logged instead; nothing, if that is the zero Attr. It is never called for base fields. A log model is one
// attribute to it. It may be called concurrently. Defaults to none.
func ReplaceAttr(f func(groups []string, a slog.Attr) slog.Attr) Option {
	return func(o *options) { o.record.ReplaceAttr = f }
}

// Format sets a function that makes each record's own base: a struct whose fields are merged after the base fields, and may
// replace them, before all models and attributes. It need not be a log model. A nil one adds nothing. It may be called
// concurrently. Defaults to none.
func Format(f func(ctx context.Context, r slog.Record) any) Option {
	return func(o *options) { o.record.Format = f }
}

// Logger sets the field logger. Defaults to null.
func Logger(name string) Option { return func(o *options) { o.record.Base.Logger = &name } }

// Hostname sets the field hostname. Defaults to the name of the host.
func Hostname(name string) Option { return func(o *options) { o.record.Base.Hostname = &name } }

// Service sets the field service. Defaults to the hostname less its last two dash parts, as a pod's deployment is called.
func Service(name string) Option { return func(o *options) { o.record.Base.Service = &name } }

// Namespace sets the field namespace. Defaults to that of the Kubernetes service account, else null.
func Namespace(name string) Option { return func(o *options) { o.record.Base.Namespace = &name } }

// Cluster sets the field cluster. Defaults to the environment variable CLUSTER, else null.
func Cluster(name string) Option { return func(o *options) { o.record.Base.Cluster = &name } }

// SchemaID sets the schema that the envelopes of the records name, with its version, which may be left out when it is 1. Defaults
// to "LogRecord:1".
func SchemaID(id string) Option {
	return func(o *options) {
		name, digits, found := strings.Cut(id, ":")
		version, err := 1, error(nil)
		if found {
			version, err = strconv.Atoi(digits)
		}
		if name == "" || err != nil || version < 1 {
			o.refuse("schema id %q: it has to be a name and a version from 1, as in %q", id, defaultName+":1")
			return
		}
		o.schema, o.version = name, version
	}
}

// QueueSize bounds what waits for its delivery, on its way to the broker included. Zero leaves a bound as it is. They default
// to 10,000 records and 16 MiB. No record is longer than the queue is large: its values are shortened.
func QueueSize(records, bytes int) Option {
	return func(o *options) {
		if records < 0 || bytes < 0 || bytes > 0 && bytes < minBytes {
			o.refuse("queue size of %d records and %d bytes: it needs at least 1 record and %d bytes", records, bytes, minBytes)
			return
		}
		if records > 0 {
			o.records = records
		}
		if bytes > 0 {
			o.bytes = bytes
		}
	}
}

// minBytes is the smallest queue that a record with nothing but its base fields is sure to fit into.
const minBytes = 4 << 10

// Linger sets how long the worker waits for more records before it sends the first. A longer time makes fewer, larger
// batches; a record is in Kafka that much later. Defaults to 2ms.
func Linger(d time.Duration) Option {
	return func(o *options) {
		if d < 0 {
			o.refuse("linger %v: it cannot be negative", d)
			return
		}
		o.linger = d
	}
}

// Policy says what Handle does with a record when the queue is full.
type Policy interface{ policy() }

type drop uint8

func (drop) policy() {}

const (
	// DropNewest drops the record that does not fit. It is the default.
	DropNewest drop = iota
	// DropOldest drops those that wait the longest, until the record fits. Those already on their way to the broker stay.
	DropOldest
)

type block time.Duration

func (block) policy() {}

// Block makes the caller wait for room, at most d, and drops the record when there is none by then.
func Block(d time.Duration) Policy { return block(d) }

// Overflow sets what happens when the queue is full. Defaults to DropNewest.
func Overflow(p Policy) Option {
	return func(o *options) {
		if p == nil {
			o.refuse("overflow: no policy given")
			return
		}
		o.policy = p
	}
}

// Fallback sets a handler for the records that are dropped, whatever the reason, and for what this handler has to say
// about its own work. It gets them with all their fields as attributes: on the goroutine that logs when the record was not
// queued, else later. Defaults to none: dropped records are only counted, and what there is to say goes to standard error.
//
// slog's own default handler is refused, because it may lead back here, and a slogkafka handler too; see [Handler.Err]. One that
// leads here in another way has to pass its context on: what comes with it goes no further.
func Fallback(h slog.Handler) Option {
	return func(o *options) {
		if _, ours := h.(*Handler); ours || h == nil || ownlog.IsDefault(h) {
			o.refuse("fallback %T: it may log to this handler; use another, such as slog.NewTextHandler(os.Stderr, nil)", h)
			return
		}
		o.fallback = h
	}
}

// Key sets a function that gives each record its key: records of one key lie in one partition, and those that one goroutine
// logs keep their order there. A nil key is none. It may be called concurrently. Defaults to none.
func Key(f func(ctx context.Context, r slog.Record) []byte) Option {
	return func(o *options) { o.key = f }
}

// Text makes a stream handler write for people instead of programs: one line a record, with time, level, message and all
// fields, and its stack below it. Bytes that could control a terminal are escaped.
func Text() Option { return func(o *options) { o.text = true } }
