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

	"github.com/kafkaesk/kafkaesk/internal/lanes"
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
// ([Unordered]); never another partition, nor a worker. The committed offset cannot pass it, so a crash brings back
// what was finished behind it.
type RetryPolicy struct {
	// Attempts is how often the handler is called at most; 1 is no retry. Defaults to 5.
	Attempts int
	// FirstPause bounds the pause after the first attempt. Each further bound is twice the one before, and each pause
	// a random part of its bound (full jitter). Defaults to 100ms.
	FirstPause time.Duration
	// MaxPause bounds every pause. Defaults to 10s.
	MaxPause time.Duration
}

// SubscribeOption is an option of [Subscribe]. A nil one changes nothing.
type SubscribeOption func(*subscription)

// Group sets the consumer group (group.id). Subscriptions of one group share the records of their streams, in one
// program and in many; each group gets all of them. Defaults to the name of the handler function.
//
// A name has no control characters and no space at its ends. Two different functions whose groups would get one name by
// default are an error of [Subscribe] or [App.Mount], because each record would reach only one of them; with Group they
// may share one.
func Group(name string) SubscribeOption {
	return func(s *subscription) { s.group, s.named = name, true }
}

// Patterns adds further patterns.
func Patterns(patterns ...string) SubscribeOption {
	return func(s *subscription) { s.patterns = append(s.patterns, patterns...) }
}

// Concurrency sets how many handlers of the subscription run at once, and in which lanes: with [ByPartition] at most n
// of the partitions that the member has; with [ByKey] and [Unordered] n lanes. Without it every partition is a lane of
// its own, and all of them run at once.
//
// With ByKey and Unordered records are finished out of order, and what is committed is only what lies below the first
// that is not: when partitions are taken away more records are handled again than with ByPartition, by whoever has them
// next.
func Concurrency(n int, l Lanes) SubscribeOption {
	return func(s *subscription) { s.concurrency, s.lanes = &n, l }
}

// Timeout bounds the work on one record: all attempts and the pauses between them. When it is over the handler's
// context ends with [context.DeadlineExceeded] as its error, there is no further attempt, and the record goes to the
// dead letters, if there are any, else the App's Run ends. A handler that does not return then blocks its lane, which
// the log tells. Defaults to none.
func Timeout(d time.Duration) SubscribeOption { return func(s *subscription) { s.timeout = &d } }

// Retry sets the retry policy. Without it a subscription has the policy's defaults, or with [RetryTopics] a single
// attempt before a record moves on.
func Retry(p RetryPolicy) SubscribeOption { return func(s *subscription) { s.retry = &p } }

// DeadLetter sends records that are given up to the stream <stream>.<group>.dead: those that are rejected, cannot be
// decoded, or have failed as often as the retry policy allows. Key and value are unchanged; headers say what happened
// (see [GroupHeader] and those below it). The record is committed only when the dead letter is acknowledged. One that
// does not fit into its topic loses the text of its error, then its own headers ([DroppedHeadersHeader]). One that
// cannot be written even so, or at all, holds up what lies behind it and is tried again, every 30 seconds at the
// latest: [App.Health], [PartitionStats] and the log tell what to change. What fails in dead letters of dead letters
// is rejected.
//
// The subscription also reads the stream <stream>.<group>.replay: a dead letter that is moved there, by
// [App.ReplayDeadLetters] say, is handled again, by this group alone.
//
// The stream has to have a name that Kafka takes: at most 249 characters with the prefix, and none that another topic
// has when '.' and '_' are one. What is known of that is an error of Subscribe, or of [App.Run] when it begins; a
// stream that appears later is not read then, which [App.Health] tells. Its topic is created with the
// max.message.bytes of the stream's own, and 16 KiB more for headers, and its retention.ms.
func DeadLetter() SubscribeOption { return func(s *subscription) { s.deadLetter = true } }

// RetryTopics sends a record that has failed to the stream <stream>.<group>.retry.1, where the same subscription
// handles it again after the first delay; when it fails there, to .retry.2, and so on, and after the last delay to
// the dead letters ([DeadLetter] is implied). While a record waits for its time its partition is not read, and no
// handler sleeps. The order of records is given up. What waits in a stream behind the last delay, because there were
// more delays once, is handled as well, after the last delay at the latest; without any delay no retry stream is
// read. A record never waits longer than its stream's delay, whatever [NotBeforeHeader] says.
func RetryTopics(delays ...time.Duration) SubscribeOption {
	return func(s *subscription) { s.delays = append(s.delays, delays...) }
}

// ManualCommit leaves it to the handler to say what is finished: by [Message.Commit], or [Commit] where it takes a
// *[Record] or []byte. Another type is an error of Subscribe.
func ManualCommit() SubscribeOption { return func(s *subscription) { s.manual = true } }

// Validate checks consumed data against the JSON Schema of the handler's type, constraints included. Data that breaks
// it is rejected, with a [*ValidationError]. So is an object that has a field twice, or under a name that differs by
// case only, because encoding/json would decode it past the check. A null for a slice or map is an empty one, and a
// time without a zone is UTC.
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
	breaker     *breakerOptions // nil = none

	// chain makes the handler of an attempt, with the App's middleware in it.
	chain func(x *runner, middleware []Middleware) Handler
	batch *lanes.Batches // of Batch; nil = the handler takes one record
	// many is the handler in place of chain, of a subscription with batches.
	many *batchHandler
	// middleware is that of the Router that the subscription came with.
	middleware []Middleware
}

// Subscribe has handler called with every record of the streams that match pattern, once [App.Run] runs. A pattern is
// an fnmatch pattern over streams, such as "content.*", or a stream's name. New streams that match are read from
// their first record, within seconds. A stream that is missing is waited for. Kafka's internal topics are never read,
// and the bus's own streams (those whose names end in .retry.<n>, .dead, .replay or .replay.log behind a stream and a
// group) only by a pattern that says so, "content.*.dead" say.
//
// T decides what the handler takes: a struct the envelope's data, decoded by encoding/json; []byte the record's value;
// *[Record] the record; map[string]any the whole message; *[Message] of X all of it, where X is what data is decoded
// into: json.RawMessage leaves it as it is. The schema's id plays no part. A record that cannot be decoded is rejected:
// its value is no JSON object in UTF-8, it has no data, or data that T cannot hold, as null for a struct. For a pointer
// data that is null is nil, and so is a tombstone, a record without a value. Raw bytes are the record's own, and must
// not be changed.
//
// Every acknowledged record reaches the handler at least once. A record counts as finished when its handler has
// returned (see [Handler]), and only what lies below the first unfinished record of a partition is ever committed,
// every second (auto_commit_interval_ms), when partitions are taken away, and at the end. A group without a commit
// starts at auto_offset_reset, which defaults to earliest.
//
// With [Batch] the handler takes a slice of one of these types, and is called for many records at once.
//
// A pattern that no stream's name can match is an error: a pattern is no regular expression. When a pattern has matched
// no stream for 10 seconds, a line in the App's log says so, and names the streams that are near; there is another one
// only after it has matched.
//
// Two subscriptions of one group are two members of it, which share its records; each record reaches one of the
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

// topicName is what Kafka takes for the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

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
		if err := checkPattern("", pattern); err != nil {
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
	case s.deadLetter && !topicName.MatchString(s.group):
		return fmt.Errorf("group %q is part of the names of its dead letter and retry streams, and a topic's name has "+
			"letters, digits, dots, dashes and underscores only", s.group)
	case s.concurrency != nil && *s.concurrency < 1:
		return fmt.Errorf("concurrency %d: at least one handler has to run", *s.concurrency)
	case s.lanes > Unordered:
		return fmt.Errorf("concurrency: there are no lanes %d: take ByPartition, ByKey or Unordered", s.lanes)
	case s.breaker != nil && (s.breaker.after < 1 || s.breaker.probe <= 0):
		return fmt.Errorf("breaker after %d failures, probe each %v: want at least one failure, and a time above zero",
			s.breaker.after, s.breaker.probe)
	case s.timeout != nil && *s.timeout <= 0:
		return fmt.Errorf("timeout %v: it is a time from the record's start", *s.timeout)
	case slices.ContainsFunc(s.delays, func(d time.Duration) bool { return d <= 0 }):
		return fmt.Errorf("retry topics %v: a delay is longer than nothing", s.delays)
	case s.retry != nil && (s.retry.Attempts < 0 || s.retry.FirstPause < 0 || s.retry.MaxPause < 0):
		return fmt.Errorf("retry policy %+v: nothing in it can be negative", *s.retry)
	}
	taken := f.Type().In(1)
	if s.batch != nil {
		if err := checkBatch(s.batch, taken); err != nil {
			return err
		}
		taken = taken.Elem()
	}
	s.commits = taken.Implements(anyMessageType) || taken == reflect.TypeFor[*Record]() ||
		taken == reflect.TypeFor[[]byte]()
	if s.manual && !s.commits {
		return fmt.Errorf("ManualCommit needs a handler that can commit: "+
			"take a *bus.Message[X], a *bus.Record or []byte instead of %v", taken)
	}
	return nil
}

// checkBatch says what is wrong with the option Batch of a handler that takes this type.
func checkBatch(b *lanes.Batches, taken reflect.Type) error {
	switch {
	case b.Max < 1 || b.Wait < 0:
		return fmt.Errorf("Batch(%d, %v): a batch has a record at least, and its wait is not negative", b.Max, b.Wait)
	case taken.Kind() != reflect.Slice || taken.Elem().Kind() == reflect.Uint8:
		return fmt.Errorf("option Batch needs a handler of many records: take a []%v instead of %v", taken, taken)
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
		if other, taken := first[s.group]; taken && other != s.function {
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
