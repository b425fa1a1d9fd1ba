package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

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

// Key sets a function that gives each record its key: records of one key lie in one partition, and those that one goroutine
// logs keep their order there. A nil key is none. It may be called concurrently. Defaults to none.
func Key(f func(ctx context.Context, r slog.Record) []byte) Option {
	return func(o *options) { o.key = f }
}

// Text makes a stream handler write for people instead of programs: one line a record, with time, level, message and the
// fields but hostname, service, namespace and cluster, which are the same in all, and its stack below it. It uses colours
// on a terminal (or as NO_COLOR and FORCE_COLOR say), and cuts values of more than about two lines there. Nothing in a
// record can control a terminal, or be read as another field or record.
func Text() Option { return func(o *options) { o.text = true } }
