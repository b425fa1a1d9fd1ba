//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

const (
	rebalancePartitions = 64
	rebalanceMembers    = 10
	rebalanceRate       = 2_000 // records a second
	sessionTimeout      = 10 * time.Second
	heartbeatInterval   = 3 * time.Second
	late                = 100 * time.Millisecond
)

// rebalances has a group of ten processes that were started one after the other, as a deployment does it. One joins,
// one leaves, one is killed, and then each is replaced by a new one.
func rebalances() []comparison {
	return []comparison{{
		name: "rebalance",
		about: "10 processes started 0.3 s apart, 64 partitions, 2,000 records/s, session 10 s, heartbeat 3 s; " +
			"late: handled over 100 ms after it was published; franz-go with its eager sticky balancer",
		setup: func(ctx context.Context, p place) error { return makeTopics(ctx, p, rebalancePartitions, "orders") },
		peers: map[string]measurement{
			ours: func(ctx context.Context, p place) (figures, error) {
				return rebalance(ctx, member{Peer: ours, Place: p})
			},
			franz: func(ctx context.Context, p place) (figures, error) {
				return rebalance(ctx, member{Peer: franz, Place: p})
			},
		},
	}}
}

// member is what a process of the group is told, in memberVariable.
type member struct {
	Peer  string
	Place place
	Group string
}

const memberVariable = "KAFKAESK_COMPARE_MEMBER"

// runMember is main of a member. It writes a line for each record it handles, its number and its latency in
// nanoseconds, and ends with ctx.
func runMember(ctx context.Context, text string) error {
	var m member
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("%s: %w", memberVariable, err)
	}
	if m.Peer == franz {
		return m.runFranz(ctx)
	}
	app := bus.New(bus.Config{Servers: m.Place.Servers, TopicPrefix: m.Place.Prefix, Settings: bus.Settings{
		"session_timeout_ms": sessionTimeout.Milliseconds(), "heartbeat_interval_ms": heartbeatInterval.Milliseconds(),
		"auto_offset_reset": "latest",
	}})
	handle := func(_ context.Context, value []byte) error {
		report(value)
		return nil
	}
	if err := bus.Subscribe(app, "orders", handle, bus.Group(m.Group)); err != nil {
		return err
	}
	err := app.Run(ctx)
	return errors.Join(err, app.Close(context.WithoutCancel(ctx)))
}

func (m member) runFranz(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(m.Place.Servers...),
		kgo.ConsumeTopics(m.Place.Prefix+"orders"), kgo.ConsumerGroup(m.Group),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeatInterval), kgo.Balancers(kgo.StickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.AutoCommitInterval(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	return poll(ctx, client, func(r *kgo.Record) { report(r.Value) })
}

// report writes the line of one record. Lines of several goroutines do not mix: a pipe takes so few bytes in one piece.
func report(value []byte) {
	latency := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(value[8:]))))
	fmt.Fprintf(os.Stdout, "%d %d\n", binary.BigEndian.Uint64(value), latency)
}

// fleet is a group of processes, and the latencies of the records that they handle.
type fleet struct {
	member    member
	processes []*exec.Cmd // in the order in which they were started
	reading   sync.WaitGroup
	published atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration // of the first time that each record was handled, by its number; 0 for not yet
	handled   int             // records handled at least once
	twice     int
}

// rebalance runs the whole story for one peer.
func rebalance(ctx context.Context, m member) (_ figures, err error) {
	m.Group = m.Place.Prefix + randomName()
	f := &fleet{member: m}
	defer func() { err = errors.Join(err, f.endAll()) }()
	for range rebalanceMembers {
		if err := f.start(); err != nil {
			return nil, err
		}
		if err := pause(ctx, 310*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, sessionTimeout); err != nil { // the group is complete, and begins at the ends of the partitions
		return nil, err
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.publish(ctx, publishing.Done()) }()

	if err := f.untilHandled(ctx, rebalanceRate/50); err != nil {
		return nil, err
	}
	var spans []span
	for _, e := range []struct {
		name   string
		window time.Duration
		act    func() error
	}{
		{"warm", 4 * time.Second, func() error { return nil }},
		{"join", 6 * time.Second, f.start},
		{"leave", 6 * time.Second, func() error { return f.end(syscall.SIGTERM) }},
		{"kill", sessionTimeout + 6*time.Second, func() error { return f.end(syscall.SIGKILL) }},
		{"rolling", 6 * time.Second, func() error { return f.replaceAll(ctx) }},
	} {
		s := span{name: e.name, begin: int(f.published.Load())}
		if err := e.act(); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if err := pause(ctx, e.window); err != nil {
			return nil, err
		}
		s.end = int(f.published.Load())
		spans = append(spans, s)
		if err := pause(ctx, time.Second); err != nil { // the next event is not for the last records of this window
			return nil, err
		}
	}
	stop()
	if err := <-ended; err != nil {
		return nil, err
	}
	if err := f.untilHandled(ctx, 0); err != nil {
		return nil, err
	}
	return f.figures(spans[1:]), nil
}

// span is the numbers of the records that were published in a window.
type span struct {
	name       string
	begin, end int
}

func (f *fleet) figures(spans []span) figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out figures
	for _, s := range spans {
		count, worst := 0, time.Duration(0)
		for _, latency := range f.latencies[s.begin:s.end] {
			worst = max(worst, latency)
			if latency > late {
				count++
			}
		}
		out = append(out, figure{s.name + ": late records", float64(count)}, figure{s.name + ": worst s", worst.Seconds()})
	}
	return append(out, figure{"handled twice", float64(f.twice)})
}

// start starts a process and reads what it handles.
func (f *fleet) start() error {
	text, err := json.Marshal(f.member)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	process := exec.Command(program)
	process.Env = append(os.Environ(), memberVariable+"="+string(text))
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	f.processes = append(f.processes, process)
	f.reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var number int
			var latency time.Duration
			// The last line of a killed process may be cut.
			if _, err := fmt.Sscan(lines.Text(), &number, (*int64)(&latency)); err == nil {
				f.note(number, latency)
			}
		}
	})
	return nil
}

func (f *fleet) note(number int, latency time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number >= len(f.latencies) {
		f.latencies = append(f.latencies, 0)
	}
	if f.latencies[number] != 0 {
		f.twice++
		return
	}
	f.latencies[number] = latency
	f.handled++
}

// end ends the process that was started first and waits for it where it ends by itself.
func (f *fleet) end(signal os.Signal) error {
	process := f.processes[0]
	f.processes = f.processes[1:]
	if err := process.Process.Signal(signal); err != nil {
		return err
	}
	_, err := process.Process.Wait()
	return err
}

// replaceAll replaces each process by a new one, as a rolling deployment does it.
func (f *fleet) replaceAll(ctx context.Context) error {
	const step = 350 * time.Millisecond
	for range len(f.processes) {
		if err := f.start(); err != nil {
			return err
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
		if err := f.end(syscall.SIGTERM); err != nil {
			return err
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// endAll kills what is left.
func (f *fleet) endAll() error {
	var errs []error
	for len(f.processes) > 0 {
		errs = append(errs, f.end(syscall.SIGKILL))
	}
	f.reading.Wait()
	return errors.Join(errs...)
}

// publish publishes records at the rate until done is closed, and waits for their acknowledgements.
func (f *fleet) publish(ctx context.Context, done <-chan struct{}) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.member.Place.Servers...),
		kgo.DefaultProduceTopic(f.member.Place.Prefix+"orders"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	begin := time.Now()
	for number := 0; ; {
		for due := int(time.Since(begin).Seconds() * rebalanceRate); number < due; number++ {
			value := make([]byte, 200)
			binary.BigEndian.PutUint64(value, uint64(number))
			binary.BigEndian.PutUint64(value[8:], uint64(time.Now().UnixNano()))
			r := &kgo.Record{Value: value, Partition: int32(number % rebalancePartitions)}
			client.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
			f.published.Store(int64(number) + 1)
		}
		select {
		case <-done:
			if err := client.Flush(ctx); err != nil {
				return err
			}
			if err := failed.Load(); err != nil {
				return *err
			}
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// untilHandled waits until the group has handled what is published, but for so many records that may be on their way.
func (f *fleet) untilHandled(ctx context.Context, underway int) error {
	deadline := time.Now().Add(time.Minute)
	for {
		published := int(f.published.Load())
		f.mu.Lock()
		handled := f.handled
		f.mu.Unlock()
		if published > 0 && published-handled <= underway {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d records are handled after a minute", handled, published)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
