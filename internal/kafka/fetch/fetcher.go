// Package fetch reads partitions as fast as their leaders send them. A [Fetcher] has one loop per broker,
// which asks for all partitions that it reads there, and asks again while what came before is decoded. It
// knows neither groups nor commits: who reads which partition from where is its owner's business, and may
// change at any time.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Options of a Fetcher. The rest (waits, sizes, isolation level) comes from the client's settings.
type Options struct {
	// OutOfRange says where a partition goes on when the broker no longer has, or never had, the offset
	// asked for: kafka.Earliest, kafka.Latest, or kafka.NoReset, which stops the partition with a
	// *PartitionError. Each time is logged and counted. Defaults to kafka.Earliest.
	// Kafka: auto.offset.reset.
	OutOfRange string
	// MaxBuffered bounds the bytes that have been fetched, or are on their way, and are not yet decoded:
	// no broker is asked for more beyond it, but for 1 MiB at a time. Of one partition no more is asked
	// for while two requests' worth (max_partition_fetch_bytes) of it is there; what paused partitions
	// have comes on top of MaxBuffered, so that they take no room from the others.
	// Defaults to fetch_max_bytes.
	MaxBuffered int
	// MaxPartition is how many bytes of a partition are asked for at a time; a batch that is larger comes whole.
	// Defaults to max_partition_fetch_bytes.
	MaxPartition int
	// MaxRecord bounds the memory that decoding one record takes: its headers (40 bytes each, whatever they
	// hold), and its own bytes where its batch is compressed. A record with more is a *PartitionError and is passed
	// over; those of its batch are not. Defaults to 64 MiB.
	MaxRecord int
	// TopicPrefix is what a record's topic has before its stream. Defaults to nothing.
	TopicPrefix string
	// RetryDenied goes on trying what we may not read, slowly: rights get granted while programs run. Next returns the
	// *PartitionError once, until the partition can be read again. Without it the partition stops.
	RetryDenied bool
	// LeaderWait stops a partition that has had no leader for so long, with an ErrNoLeader. By default it is waited for.
	LeaderWait time.Duration
	// Logger gets a line when a broker or a partition begins to fail, and when it works again. Defaults
	// to none.
	Logger *slog.Logger
}

// Chunk is a run of records of one partition.
type Chunk struct {
	Topic     string
	Partition int32
	// Records are the caller's. Their Key, Value and Headers keep in memory what one response had for this partition,
	// or the piece of a compressed batch that was unpacked with them, of up to 4 MiB. There may be none, when only
	// Next has moved: over control records, aborted transactions, and what compaction has removed.
	Records []wire.Record
	// Next is the offset after the chunk.
	Next int64
	// HighWatermark is the end of the partition when the chunk was fetched; -1 where it is not known.
	HighWatermark int64
}

// PartitionError says what is wrong with one partition. The others are not concerned.
type PartitionError struct {
	Topic     string
	Partition int32
	Offset    int64 // where; -1 where that is not known
	Next      int64 // where reading goes on; -1 where it has stopped until the partition is added again
	Err       error
}

func (e *PartitionError) Error() string {
	at, then := "", "reading of the partition has stopped"
	if e.Offset >= 0 {
		at = fmt.Sprintf(" offset %d", e.Offset)
	}
	if e.Next >= 0 {
		then = fmt.Sprintf("reading goes on at offset %d", e.Next)
	}
	return fmt.Sprintf("fetch: topic %q partition %d%s: %v: %s", e.Topic, e.Partition, at, e.Err, then)
}

// Unwrap returns the cause.
func (e *PartitionError) Unwrap() error { return e.Err }

// BrokerError says that a broker, or all of them, refuses us: a wrong password, a missing right. The
// Fetcher goes on trying, slowly, and reports each time: operators repair such things while programs run.
type BrokerError struct {
	Broker int32 // -1 = none in particular
	Err    error
}

func (e *BrokerError) Error() string {
	if e.Broker < 0 {
		return fmt.Sprintf("fetch: the cluster refuses us: %v", e.Err)
	}
	return fmt.Sprintf("fetch: broker %d refuses us: %v", e.Broker, e.Err)
}

// Unwrap returns the cause, which is a kafka.ErrAuth.
func (e *BrokerError) Unwrap() error { return e.Err }

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("fetch: the fetcher is closed")

// Fetcher reads a changing set of partitions. All methods may be called at any time from any goroutine,
// except Next, which has one caller at a time.
type Fetcher struct {
	client      *kafka.Client
	opts        Options
	cfg         kafka.Settings
	log         *slog.Logger
	routerWoken chan struct{} // wakes the router
	nextWoken   chan struct{} // wakes Next
	watch       *kafka.Watch
	topics      map[string]bool // that watch follows; only the router uses it
	memory      *wire.Memory    // of the responses
	ctx         context.Context
	cancel      context.CancelFunc
	wg          sync.WaitGroup

	mu         sync.Mutex
	partitions map[kafka.TopicPartition]*partition
	loops      map[int32]*loop
	rounds     uint64        // responses so far
	buffered   int           // bytes fetched and not yet decoded, but for those of paused partitions
	inFlight   int           // bytes that the requests on their way may bring
	space      chan struct{} // closed when buffered falls below MaxBuffered; nil while it is
	ready      []*partition  // those with something to decode, in the order in which it came
	decoders   int           // goroutines that decode; no more than there are processors
	out        []*result     // for Next
	last       *partition    // of what Next has returned last
	closed     bool
	// leadersUntil is until when the leaders are to name no replicas, because one has failed.
	leadersUntil time.Time
	processors   int // as many chunks are decoded at the same time, and as many more may wait for Next

	requests, bytes, corrupt, outOfRange, failures atomic.Uint64
}

// partition is what is known of one partition; Fetcher.mu guards it. A partition that is removed and
// added again is another one, so that what is on its way for the first is not taken for the second.
type partition struct {
	kafka.TopicPartition
	next      int64 // the offset to ask for; where negative, at is yet to be looked up
	at        int64
	end       int64 // the high watermark, as the last answer had it; -1 = not known
	leader    int32 // -1 = not known
	broker    int32 // where it is read: at the leader, or at the replica that the leader has named; -1 = not known
	served    uint64
	paused    bool
	stopped   bool // after an error that no retry can make succeed
	resolving bool
	attempt   int // failures in a row
	cutOff    int // answers in a row that ended within the first batch
	retryAt   time.Time

	replicaUntil   time.Time // while it is read at a replica: when the leader is asked again
	noLeaderSince  time.Time // zero while it has a leader, or does not exist
	noLeaderLogged bool
	denied         bool // the last answer was that we may not read it (Options.RetryDenied)

	segments []*segment // fetched and not yet decoded, in order
	queued   int        // bytes of them
	decoding bool       // the next chunk is being decoded, waits for Next, or is with its caller
	listed   bool       // in Fetcher.ready
	held     *result    // what was decoded when the partition was paused
}

// New returns a Fetcher without partitions. It must be closed.
func New(c *kafka.Client, o Options) *Fetcher {
	cfg := c.Settings()
	if o.OutOfRange == "" {
		o.OutOfRange = kafka.Earliest
	}
	if o.MaxBuffered <= 0 {
		o.MaxBuffered = cfg.FetchMaxBytes
	}
	if o.MaxPartition > 0 {
		cfg.MaxPartitionFetchBytes = o.MaxPartition
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fetcher{
		client: c, opts: o, cfg: cfg, log: o.Logger, routerWoken: make(chan struct{}, 1), nextWoken: make(chan struct{}, 1),
		partitions: make(map[kafka.TopicPartition]*partition), loops: make(map[int32]*loop),
		processors: runtime.GOMAXPROCS(0), memory: new(wire.Memory),
	}
	f.watch = c.Watch(kafka.WatchOptions{Changed: f.wakeRouter})
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Go(func() { f.route(f.ctx) })
	return f
}

// Add begins to read a partition at an offset. A partition that is being read starts again there. It
// need not exist yet.
func (f *Fetcher) Add(tp kafka.TopicPartition, offset int64) {
	f.add(&partition{TopicPartition: tp, next: max(offset, 0), end: -1, leader: -1, broker: -1})
}

// AddAt is Add where the offset is to be looked up: of the first record (at = -2), the end (-1), or the
// first record whose time is not before at, in milliseconds since the epoch, and the end if there is
// none. The look-up is repeated until it succeeds.
func (f *Fetcher) AddAt(tp kafka.TopicPartition, at int64) {
	f.add(&partition{TopicPartition: tp, next: -1, at: at, end: -1, leader: -1, broker: -1})
}

// AddAll is Add for many partitions, and AddAt for those whose offset is kafka.FirstOffset or kafka.EndOffset. All of
// them are in the first request to their broker.
func (f *Fetcher) AddAll(offsets map[kafka.TopicPartition]int64) {
	parts := make([]*partition, 0, len(offsets))
	for tp, offset := range offsets {
		parts = append(parts, &partition{TopicPartition: tp, next: offset, at: offset, end: -1, leader: -1, broker: -1})
	}
	f.add(parts...)
}

func (f *Fetcher) add(parts ...*partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range parts {
		f.removeLocked(p.TopicPartition)
		f.partitions[p.TopicPartition] = p
	}
	f.wakeRouter()
}

// Remove ends reading of a partition: no call of Next that begins after Remove returns has anything of
// it, unless it is added again, and then nothing from before.
func (f *Fetcher) Remove(tp kafka.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(tp)
}

func (f *Fetcher) removeLocked(tp kafka.TopicPartition) {
	p := f.partitions[tp]
	if p == nil {
		return
	}
	delete(f.partitions, tp)
	f.moveLocked(p, kafka.NoLeader)
	if !p.paused {
		f.releaseLocked(p.queued)
	}
	p.segments, p.queued, p.held = nil, 0, nil
}

// Pause leaves a partition out of the requests, and out of what Next returns, until Resume: what has been
// fetched stays as it came, packed and not decoded. It does not wait for a call of Next that is under way.
func (f *Fetcher) Pause(tp kafka.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.partitions[tp]; p != nil && !p.paused {
		p.paused = true
		f.releaseLocked(p.queued)
		f.changedLocked(p)
	}
}

// Resume ends a Pause: what has been fetched comes first, and the partition's broker is asked for more at once.
func (f *Fetcher) Resume(tp kafka.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.partitions[tp]
	if p == nil || !p.paused {
		return
	}
	p.paused = false
	f.bufferLocked(p.queued)
	if p.held != nil {
		f.deliverLocked(p.held)
		p.held = nil
	}
	f.readyLocked(p)
	f.changedLocked(p)
}

// HighWatermark returns the end of a partition as the last answer of its broker had it, which counts records of
// transactions that are still open; -1 where it is not known.
func (f *Fetcher) HighWatermark(tp kafka.TopicPartition) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.partitions[tp]; p != nil {
		return p.end
	}
	return -1
}

// Buffered returns the bytes of a partition that have been fetched and not yet decoded.
func (f *Fetcher) Buffered(tp kafka.TopicPartition) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.partitions[tp]; p != nil {
		return p.queued
	}
	return 0
}

// wakeRouter makes the router look at the cluster again.
func (f *Fetcher) wakeRouter() { signal(f.routerWoken) }

// signal wakes the one who receives from a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close ends all reading and returns when every goroutine has ended. What has not been asked for is
// dropped. It may be called more than once.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	f.watch.Close()
}

// Stats are the figures of a Fetcher since it was made.
type Stats struct {
	Requests   uint64 // fetches answered
	Bytes      uint64 // of their responses
	Corrupt    uint64 // batches that could not be read, and records that would take too much memory
	OutOfRange uint64 // times that a partition's offset was reset
	Failures   uint64 // fetches that failed as a whole
	Buffered   int    // bytes fetched and not yet decoded, now, without those of paused partitions
	Parked     int    // bytes of paused partitions, now
	Brokers    int    // brokers that are being asked, now
	Partitions int    // partitions that are being read, now
}

// Stats returns the figures.
func (f *Fetcher) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	parked := 0
	for _, p := range f.partitions {
		if p.paused {
			parked += p.queued
		}
	}
	return Stats{
		Requests: f.requests.Load(), Bytes: f.bytes.Load(), Corrupt: f.corrupt.Load(),
		OutOfRange: f.outOfRange.Load(), Failures: f.failures.Load(),
		Buffered: f.buffered, Parked: parked, Brokers: len(f.loops), Partitions: len(f.partitions),
	}
}
