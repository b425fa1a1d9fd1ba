package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/breaker"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// Lanes says which records of a subscription wait for each other. Within a lane handlers run one after another, in the
// order of the records.
type Lanes uint8

const (
	// ByPartition makes each partition a lane: all records of a partition keep their order. It is the default.
	ByPartition Lanes = iota
	// ByKey keeps the order of the records of each key, and spreads records without a key.
	ByKey
	// Unordered keeps no order at all.
	Unordered
)

func (l Lanes) mode() lanes.Mode {
	return [...]lanes.Mode{ByPartition: lanes.ByPartition, ByKey: lanes.ByKey, Unordered: lanes.Unordered}[l]
}

// RetryPolicy says how often a record is tried whose handler fails, and how long the pauses are. Meanwhile the record
// holds back the records behind it in its partition ([ByPartition]), the later ones of its key ([ByKey]), or none
// ([Unordered]); it holds back no other partition. The committed offset does not pass it, so after a crash the
// records finished behind it are handled again.
type RetryPolicy struct {
	// Attempts is how often the handler is called at most; 1 means no retry. Defaults to 5.
	Attempts int
	// FirstPause is the longest pause after the first attempt. The longest pause doubles with each further attempt,
	// and each pause is a random part of it (full jitter). Defaults to 100ms.
	FirstPause time.Duration
	// MaxPause is the longest of all pauses. Defaults to 10s.
	MaxPause time.Duration
}

// SubscribeOption is an option of [Subscribe]. A nil one changes nothing.
type SubscribeOption func(*subscription)

// Group sets the consumer group (group.id). Subscriptions of one group share the records of their streams, in one
// program and in many; each group gets all of them. Defaults to the name of the handler function. The topic prefix is
// not part of it.
//
// A name has no control characters and no space at its ends. Two different functions that would get one name by
// default are an error of Subscribe or [App.Mount], because each record would reach only one of them; with Group they
// may share one.
func Group(name string) SubscribeOption {
	return func(s *subscription) { s.group, s.named = name, true }
}

// Patterns adds further patterns. A stream that matches several is read once.
func Patterns(patterns ...string) SubscribeOption {
	return func(s *subscription) { s.patterns = append(s.patterns, patterns...) }
}

// Concurrency sets how many handlers of the subscription run at once, and in which lanes: with [ByPartition] at most
// n of the partitions that the member has; with [ByKey] and [Unordered] n lanes. Defaults to a lane for each
// partition, all of which run at once. Concurrency(1, ByPartition) handles one record at a time.
//
// With ByKey and Unordered records are finished out of order, while the committed offset stays at the first that is
// not. So when partitions are taken away, their next owner handles more records again than with ByPartition.
func Concurrency(n int, l Lanes) SubscribeOption {
	return func(s *subscription) { s.concurrency, s.lanes = &n, l }
}

// Timeout limits the work on one record: all attempts and the pauses between them. When it is over, the handler's
// context ends with context.DeadlineExceeded, and there is no further attempt: the record becomes a dead letter, or
// without DeadLetter the App's Run ends. A handler that does not return then blocks its lane, and the log says so.
// Defaults to none.
func Timeout(d time.Duration) SubscribeOption { return func(s *subscription) { s.timeout = &d } }

// Retry sets the retry policy. Defaults to the zero [RetryPolicy], or with [RetryTopics] to a single attempt before a
// record moves on.
func Retry(p RetryPolicy) SubscribeOption { return func(s *subscription) { s.retry = &p } }

// DeadLetter sends records that are given up to the stream <stream>.<group>.dead: those that are rejected, that
// cannot be decoded, or that failed as often as the retry policy allows. Key and value are unchanged. Headers say
// what happened (see [GroupHeader] and those below it). The record is committed only when the dead letter is
// acknowledged.
//
// A dead letter that does not fit into its topic loses the text of its error, then its own headers
// ([DroppedHeadersHeader]). If that does not help, or it cannot be written at all, it holds up its partition and is
// tried again, every 30 seconds at the latest; [App.Health], [PartitionStats] and the log say what to change. A
// subscription may read dead letters, and have dead letters of its own for them. A record that fails in those is
// rejected: there is no third stream.
//
// The subscription also reads the stream <stream>.<group>.replay: a dead letter that [App.ReplayDeadLetters] moves
// there is handled again, by this group alone.
//
// Kafka has to take the stream's name: at most 249 characters with the prefix, and not the name of another topic when
// '.' and '_' count as the same. A name that is refused, of a stream that the pattern names or that exists, is an error
// of Subscribe, or of [App.Run] when it begins. A stream that appears later, and for whose dead letters Kafka refuses
// the name, is not read, and [App.Health] says so. The topic gets the max.message.bytes of the stream's own, with 16
// KiB more for headers, and its retention.ms.
func DeadLetter() SubscribeOption { return func(s *subscription) { s.deadLetter = true } }

// RetryTopics moves a failed record to the stream <stream>.<group>.retry.1, where the same subscription handles it
// again after the first delay. When it fails there it moves to .retry.2, and so on. After the last delay it becomes a
// dead letter; DeadLetter is implied. While a record waits for its time, its partition of the retry stream is not
// read, and no handler sleeps. Records may be handled out of order. A record never waits longer than its stream's
// delay, whatever [NotBeforeHeader] says.
//
// If you remove delays, records left in the old retry streams are still handled, as long as one delay remains.
func RetryTopics(delays ...time.Duration) SubscribeOption {
	return func(s *subscription) { s.delays = append(s.delays, delays...) }
}

// ManualCommit commits nothing by itself (enable.auto.commit false). The handler commits, by [Message.Commit], or by
// [Commit] when it takes a *Record or []byte. A handler of another type is an error of Subscribe.
func ManualCommit() SubscribeOption { return func(s *subscription) { s.manual = true } }

// Validate checks consumed data against the JSON Schema of the handler's type, constraints included. Data that breaks
// it is rejected, with a *[ValidationError]. So is an object that has a field twice, or under a name that differs by
// case only, because encoding/json would decode a value that was not checked. A null for a slice or map is an empty
// one, and a time without a zone is UTC. Without Validate a missing field is Go's zero value.
func Validate() SubscribeOption { return func(s *subscription) { s.validate = true } }

// subscription is one as it was declared.
type subscription struct {
	patterns    []string
	group       string
	named       bool   // Group gave the group's name
	handler     string // the function's name
	function    string // the same with its package, its type and what it takes: what it is told apart by
	commits     bool   // the handler can: it takes a *Message, a *Record or []byte
	concurrency *int
	lanes       Lanes
	timeout     *time.Duration
	retry       *RetryPolicy
	deadLetter  bool
	delays      []time.Duration
	manual      bool
	validate    bool
	breaker     *breaker.Options // nil = none

	// chain makes the handler of an attempt, with the App's middleware in it.
	chain func(x *runner, middleware []Middleware) Handler
	batch *lanes.Batches // of Batch; nil = the handler takes one record
	// many is the handler in place of chain, of a subscription with batches.
	many *batchHandler
	// middleware is that of the Router that the subscription came with.
	middleware []Middleware
}

// Subscribe calls handler with every record of the streams that match pattern, while [App.Run] runs. A pattern is an
// fnmatch pattern of streams, such as "content.*", or a stream's name. A new stream that matches is found within
// seconds and read from its first record. A stream that does not exist yet does not hold up the others. Kafka's
// internal topics are never read. The bus's own streams, whose names end in .retry.<n>, .dead, .replay or .replay.log
// behind a stream and a group, are read only by a pattern that names them, such as "content.*.dead".
//
// T decides what the handler gets. A struct is the envelope's data, decoded by encoding/json; []byte is the record's
// value; *[Record] is the record; map[string]any is the whole message; *[Message] of X is all of it, where X is what
// data is decoded into, and json.RawMessage leaves the data as it is. The schema's id plays no part. A record that
// cannot be decoded is rejected: its value is no JSON object in UTF-8, it has no data, or T cannot hold the data,
// such as null for a struct. For a pointer, data that is null is nil, and so is a tombstone, a record without a
// value. Bytes belong to the record, and must not be changed.
//
// Every acknowledged record reaches the handler at least once. A record is finished when its handler has returned
// (see [Handler]). The committed offset never passes a record that is not finished. Offsets are committed every
// second (auto_commit_interval_ms), when partitions are taken away, and at the end. A group without a committed
// offset begins at auto_offset_reset, which defaults to earliest.
//
// With [Batch] the handler takes a slice of one of these types, and is called with many records at once.
//
// A pattern that no stream's name can match is an error; a pattern is no regular expression. When a pattern has
// matched no stream for 10 seconds, one line in the App's log names the streams that are near.
//
// Two subscriptions of one group are two members of it. They share its records: each record reaches one of the
// handlers.
func Subscribe[T any](r Registrar, pattern string, handler func(context.Context, T) error,
	opts ...SubscribeOption) error {
	s := &subscription{patterns: []string{pattern}}
	apply(s, opts)
	err := checkRegistrar(r)
	if err == nil {
		err = s.check(handler)
	}
	if err == nil {
		err = setHandler(s, handler)
	}
	if err == nil {
		err = r.subscribe(s)
	}
	if err != nil {
		return fmt.Errorf("bus: subscribe %q: %w", pattern, err)
	}
	return nil
}

// setHandler finds how the handler gets its argument.
func setHandler[T any](s *subscription, handler func(context.Context, T) error) error {
	if s.batch != nil {
		var err error
		s.many, err = newBatchHandler(s.validate, handler)
		return err
	}
	decode, err := decoderOf[T](s.validate)
	s.chain = func(x *runner, middleware []Middleware) Handler { return chain(x, decode, handler, middleware) }
	return err
}

// MustSubscribe is [Subscribe] for the start of a program: it panics on an error.
func MustSubscribe[T any](r Registrar, pattern string, handler func(context.Context, T) error,
	opts ...SubscribeOption) {
	if err := Subscribe(r, pattern, handler, opts...); err != nil {
		panic(err)
	}
}

// names is what the names of streams depend on.
func (s *subscription) names() *streams.Subscription {
	return &streams.Subscription{Patterns: s.patterns, Group: s.group, Tiers: len(s.delays), DeadLetters: s.deadLetter}
}

// check completes the subscription and tells what is wrong with it.
func (s *subscription) check(handler any) error {
	f := reflect.ValueOf(handler)
	if f.IsNil() {
		return errors.New("the handler is nil")
	}
	s.handler = functionName(f)
	s.function = runtime.FuncForPC(f.Pointer()).Name() + " of " + f.Type().In(1).String()
	if !s.named {
		s.group = s.handler
	}
	s.deadLetter = s.deadLetter || len(s.delays) > 0
	for _, pattern := range s.patterns {
		if err := streams.CheckPattern("", pattern); err != nil {
			return err
		}
	}
	switch {
	case s.named:
		if err := checkGroup(s.group); err != nil {
			return err
		}
	case s.group == "":
		return errors.New("a function literal has no name to call its group by: give one with Group")
	}
	switch {
	case s.deadLetter && !streams.IsTopicName(s.group):
		return fmt.Errorf("group %q is part of the names of its dead letter and retry streams, and a topic's name has "+
			"letters, digits, dots, dashes and underscores only", s.group)
	case s.concurrency != nil && *s.concurrency < 1:
		return fmt.Errorf("concurrency %d: at least one handler has to run", *s.concurrency)
	case s.lanes > Unordered:
		return fmt.Errorf("concurrency: there are no lanes %d: take ByPartition, ByKey or Unordered", s.lanes)
	case s.breaker != nil && (s.breaker.After < 1 || s.breaker.Probe <= 0):
		return fmt.Errorf("breaker after %d failures, probe each %v: want at least one failure, and a time above zero",
			s.breaker.After, s.breaker.Probe)
	case s.timeout != nil && *s.timeout <= 0:
		return fmt.Errorf("timeout %v: it has to be above 0", *s.timeout)
	case slices.ContainsFunc(s.delays, func(d time.Duration) bool { return d <= 0 }):
		return fmt.Errorf("retry topics %v: each delay has to be above 0", s.delays)
	case s.retry != nil && (s.retry.Attempts < 0 || s.retry.FirstPause < 0 || s.retry.MaxPause < 0):
		return fmt.Errorf("retry policy %+v: nothing in it can be negative", *s.retry)
	}
	param := f.Type().In(1)
	if s.batch != nil {
		if err := checkBatch(s.batch, param); err != nil {
			return err
		}
		param = param.Elem()
	}
	s.commits = param.Implements(anyMessageType) || param == reflect.TypeFor[*Record]() ||
		param == reflect.TypeFor[[]byte]()
	if s.manual && !s.commits {
		return fmt.Errorf("ManualCommit needs a handler that can commit: "+
			"take a *bus.Message[X], a *bus.Record or []byte instead of %v", param)
	}
	return nil
}

// checkBatch says what is wrong with the option Batch of a handler that takes this type.
func checkBatch(b *lanes.Batches, param reflect.Type) error {
	switch {
	case b.Max < 1 || b.Wait < 0:
		return fmt.Errorf("Batch(%d, %v): a batch has a record at least, and its wait is not negative", b.Max, b.Wait)
	case param.Kind() != reflect.Slice || param.Elem().Kind() == reflect.Uint8:
		return fmt.Errorf("option Batch needs a handler of many records: take a []%v instead of %v", param, param)
	}
	return nil
}

// checkGroup returns what is wrong with a group's name. Kafka itself takes nearly any text, and so also a name that was
// read from a file with the line's end.
func checkGroup(name string) error {
	switch {
	case name == "":
		return errors.New("Group has an empty name: give the group one, or leave Group out")
	case len(name) > math.MaxInt16:
		return fmt.Errorf("the group's name has %d bytes, where Kafka's protocol allows %d", len(name), math.MaxInt16)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("group %q: a name has no control characters, and is in UTF-8", name)
	case name != strings.TrimSpace(name):
		return fmt.Errorf("group %q: take out the space beside the name", name)
	}
	return nil
}

// checkDefaults returns which two functions would share a group that nobody gave them.
func checkDefaults(subscriptions []*subscription) error {
	first := make(map[string]string, len(subscriptions))
	for _, s := range subscriptions {
		if s.named {
			continue
		}
		if other, found := first[s.group]; found && other != s.function {
			return fmt.Errorf("the groups of %s and %s are both called %q by default, and each record would reach one of the "+
				"two: give one with Group", other, s.function, s.group)
		}
		first[s.group] = s.function
	}
	return nil
}

// functionName returns the name of a function or method, without its package and type; "" for a function literal.
func functionName(f reflect.Value) string {
	name := runtime.FuncForPC(f.Pointer()).Name()
	name = strings.ReplaceAll(name, "[...]", "") // type arguments
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = name[strings.LastIndexByte(name, '.')+1:]
	if literal.MatchString(name) {
		return ""
	}
	return strings.TrimSuffix(name, "-fm")
}

// literal is how the compiler names function literals: func1, and those inside of others 1 or func1-range1.
var literal = regexp.MustCompile(`^(func)?[0-9]+(-range[0-9]+)?$`)

// policy returns the retry policy with its defaults.
func (s *subscription) policy() RetryPolicy {
	var p RetryPolicy
	switch {
	case s.retry != nil:
		p = *s.retry
	case len(s.delays) > 0:
		p.Attempts = 1
	}
	if p.Attempts == 0 {
		p.Attempts = 5
	}
	if p.FirstPause == 0 {
		p.FirstPause = 100 * time.Millisecond
	}
	if p.MaxPause == 0 {
		p.MaxPause = 10 * time.Second
	}
	return p
}
