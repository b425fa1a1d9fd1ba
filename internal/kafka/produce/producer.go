// Package produce is the idempotent, batching producer: records go in one by one, whole batches leave in one request
// per leader.
//
// # The way of a record
//
// [Producer.Produce] encodes the record straight into the open batch of its partition. A batch is closed when it is
// full, and due when it is closed, has lingered, or somebody waits for one of its records and its leader has nothing
// else to answer. One goroutine, the sender, hands all due batches of a leader to one request, which runs in a
// goroutine of its own; what the broker answers decides what becomes of each batch (applyResponse in request.go).
//
// # What holds
//
//   - A partition has one batch in flight, and nothing behind it goes before it is answered for good: the order of a
//     key holds.
//   - A batch is encoded once. Every attempt sends the same bytes with the same producer id and sequence, so that the
//     broker recognises what it already has: a lost answer does not write a record twice. Where the broker has
//     forgotten the producer, the partition starts anew with another id (identity.go); only there a record can be
//     written twice.
//   - What a retry may mend is retried until the record's context ends, or for ever. What it cannot mend fails at once.
//   - Every promise is resolved exactly once: whoever takes it out of its batch, under mu, resolves it.
//   - Three mutexes guard the state, none of which is held across I/O, sealing or logging. They are taken in this
//     order: Producer.mu, which the sender has while it looks what is due; partition.mu for the batches that a
//     partition has not sent; opened.mu for what opening a batch changes. Produce needs the first one for topics that
//     are not known and while the buffer is full, only.
package produce

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Options are what a Producer needs beside the client's settings. The zero value is complete.
type Options struct {
	// EnsureTopic is called before the first record of a topic is sent, and again when the topic has vanished: it creates
	// the topic if need be, and returns nil once it is there. It must return when its context ends. It is called again,
	// with backoff, while its error is one that a retry may mend. Defaults to nothing: records of a topic that does not
	// exist wait for it.
	EnsureTopic func(ctx context.Context, topic string) error

	// Compression returns the codec for a topic's batches. It is called once for each topic, with the Producer's lock
	// held. Defaults to the setting compression_type for all.
	Compression func(topic string) wire.Compression

	// Logger takes the few lines the producer has to say, on change of state only. Defaults to none.
	Logger *slog.Logger

	// MaxRecords bounds how many records may wait for the broker's answer. Defaults to 250,000. Kafka's librdkafka calls
	// it queue.buffering.max.messages.
	MaxRecords int

	// MaxBytes bounds how many bytes the waiting records may have. Defaults to 64 MiB. Java's producer calls it
	// buffer.memory.
	MaxBytes int64
}

// Record is one record to be written.
type Record struct {
	Topic string
	// decides the partition; nil means none, and the record goes where its batch goes. An empty key is a key.
	Key     []byte
	Value   []byte // nil is null
	Headers []wire.Header
	Time    time.Time // defaults to now
	// Deadline is when the record fails with ErrTimeout, unless it is acknowledged by then. Defaults to none.
	Deadline time.Time
	// it comes from another topic: max_request_size and Options.MaxBytes do not limit its size, only the broker does
	Moved bool
}

// Producer writes records to Kafka. All its methods are safe for concurrent use. End it with Close.
type Producer struct {
	client *kafka.Client
	watch  *kafka.Watch
	ensure func(ctx context.Context, topic string) error
	log    *slog.Logger

	// What the settings come down to; never changed.
	acks        int16
	idempotent  bool
	compression func(topic string) wire.Compression
	linger      time.Duration
	maxBatch    int           // a batch is closed at this size
	maxRecord   int64         // a record may have this size at most
	attempt     time.Duration // the deadline of one request
	backoff     kafka.Backoff

	started time.Time       // when it was made
	ctx     context.Context // ended by Close: nothing the producer started outlives it
	cancel  context.CancelCauseFunc
	wake    chan struct{}  // tells the sender that something may be due
	work    sync.WaitGroup // what the sender started
	stopped chan struct{}  // closed when the sender and all it started have ended

	stores sync.Pool // of *store, with memory that has grown already

	quota   bufferQuota
	opened  opened
	closing atomic.Bool                       // set with mu and opened.mu held
	known   atomic.Pointer[map[string]*topic] // those of topics whose partitions are known; never changed once stored

	mu          sync.Mutex
	topics      map[string]*topic
	unready     map[*topic]struct{} // topics not known or not ensured
	active      []*partition        // with something to send; the one that waited longest first
	brokers     map[int32]*broker
	addresses   map[int32]string // of the cluster's brokers
	identity    identity
	metadata    metadata
	swept       time.Time // when the promises were last looked through for contexts and deadlines that are over
	oldestFault fault     // of those that keep a record waiting
	stats       Stats

	undelivered, unknown int // records that Close had to give up, and those of them that the broker may have
}

const (
	defaultMaxRecords = 250_000
	defaultMaxBytes   = 64 << 20
)

// New returns a Producer on the client's connections, with its settings (acks, compression_type, linger_ms,
// max_batch_size, max_request_size, request_timeout_ms, enable_idempotence). It does no I/O until the first record. The
// client must outlive it.
func New(c *kafka.Client, o Options) *Producer {
	s := c.Settings()
	p := &Producer{
		client: c, ensure: o.EnsureTopic, log: o.Logger,
		acks: s.Acks, idempotent: s.Idempotent, compression: o.Compression, linger: s.Linger,
		maxBatch:  min(s.MaxBatchSize, s.MaxRequestSize),
		maxRecord: int64(s.MaxRequestSize - batchOverhead),
		attempt:   min(max(s.RequestTimeout, minAttempt), maxAttempt),
		backoff:   kafka.Backoff{First: s.RetryBackoff},

		started: time.Now(),
		wake:    make(chan struct{}, 1), stopped: make(chan struct{}),
		stores: sync.Pool{New: func() any { return new(store) }},
		quota:  bufferQuota{maxRecords: int64(o.MaxRecords), maxBytes: o.MaxBytes},
		topics: map[string]*topic{}, unready: map[*topic]struct{}{}, brokers: map[int32]*broker{},
		identity: identity{Producer: wire.NoProducer()}, opened: opened{group: newGroup(0)},
	}
	p.known.Store(&map[string]*topic{})
	if p.compression == nil {
		p.compression = func(string) wire.Compression { return s.Compression }
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.quota.maxRecords <= 0 {
		p.quota.maxRecords = defaultMaxRecords
	}
	if p.quota.maxBytes <= 0 {
		p.quota.maxBytes = defaultMaxBytes
	}
	p.maxRecord = min(p.maxRecord, p.quota.maxBytes)
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.watch = c.Watch(kafka.WatchOptions{Changed: p.clusterChanged})
	go p.run()
	return p
}

// Produce takes one record. Its outcome comes through the promise, whatever it is; the key, value and headers are
// copied, so the caller may use them again once Produce has returned. It blocks only while the buffer is full, until
// there is room or ctx ends.
//
// urgent says that somebody waits for this record: it does not linger, or for a millisecond while its leader has
// another request to answer. It may go with others all the same.
//
// ctx bounds the record, not only the call: when it ends before the record was sent, the record is taken back and the
// promise fails with the context's error. When it ends while the record is on its way the promise fails too, but the
// record may still be written, and the error wraps [ErrUnacknowledged]. The same holds for the record's Deadline.
// Produce may be called concurrently; records of one key keep the order in which the calls were made.
func (p *Producer) Produce(ctx context.Context, r Record, urgent bool, promise *Promise) {
	e := entry{key: r.Key, value: r.Value, headers: r.Headers, urgent: urgent}
	size := recordSize(&e)
	if size > p.maxRecord && !r.Moved {
		p.refuse(promise, fmt.Errorf("produce: to %q: %w: %d bytes, and max_request_size and the buffer allow %d",
			r.Topic, kafka.ErrTooLarge, size, p.maxRecord))
		return
	}
	if ctx.Done() != nil {
		if ctx.Err() != nil {
			p.refuse(promise, fmt.Errorf("produce: to %q: not sent: %w", r.Topic, ended(ctx)))
			return
		}
		promise.ctx = ctx
	}
	if !r.Deadline.IsZero() {
		promise.until = r.Deadline.Sub(p.started)
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	e.timeMs = r.Time.UnixMilli()

	reserved := p.quota.reserve(size)
	if reserved && !p.closing.Load() {
		if t := (*p.known.Load())[r.Topic]; t != nil && p.addToBatch(t, &e, promise, size, nil) {
			return
		}
	}
	p.mu.Lock()
	err := p.reserve(ctx, &r, size, reserved)
	if err == nil {
		p.enter(r.Topic, &e, promise, size)
	}
	p.mu.Unlock()
	if err != nil {
		p.refuse(promise, err)
	}
}

// refuse fails a record that did not get in.
func (p *Producer) refuse(promise *Promise, err error) {
	p.mu.Lock()
	p.stats.Failed++
	p.mu.Unlock()
	promise.fail(err)
}

// signal makes the sender look again.
func (p *Producer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
