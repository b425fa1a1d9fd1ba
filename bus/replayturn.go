package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// ErrReplayRunning says that another program replays or drops the same dead letters; the error names it.
var ErrReplayRunning = errors.New("another program replays or drops these dead letters")

// replayTurn lets one process at a time replay or drop the dead letters of a stream and a group: the one whose member
// of the consumer group <stream>.<group>.replay has the only partition of the stream .replay.log. Kafka takes the
// partition from a process that is gone when its session is over. A member that joins while another one works gets
// none, because the assignor leaves a partition where it is.
type replayTurn struct {
	app    *App
	group  string
	member *group.Member
	quiet  time.Duration // for how long the group may not have heard from this process before that has its turn
	turn   chan int32    // holds the generation while the partition is this process's and it does not write
	lost   chan struct{} // closed when another process has the partition
	lose   func()        // closes lost
	leave  context.CancelFunc
	left   chan struct{}
	err    error // why the member ended; valid after left
}

// newReplayTurn joins the group. The caller has to call close.
func newReplayTurn(ctx context.Context, a *App, c *connection, stream, name string) *replayTurn {
	topic := c.prefix + streams.Replay(stream, name)
	t := &replayTurn{
		app: a, group: topic, turn: make(chan int32, 1), lost: make(chan struct{}), left: make(chan struct{}),
		quiet: c.client.Settings().SessionTimeout * 3 / 4,
	}
	t.lose = sync.OnceFunc(func() { close(t.lost) })
	log := c.prefix + streams.ReplayLog(stream, name)
	t.member = group.New(c.client, group.Config{
		Group: topic, Match: func(name string) bool { return name == log }, Topics: []string{log},
		Drain: writeTime + time.Second, Logger: slog.New(slog.DiscardHandler), Consumer: t,
	})
	ctx, t.leave = context.WithCancel(context.WithoutCancel(ctx)) // what is being written is finished after ctx has ended
	go func() {
		defer close(t.left)
		t.err = t.member.Run(ctx)
	}()
	return t
}

// close leaves the group.
func (t *replayTurn) close() {
	t.leave()
	<-t.left
}

// acquire waits until this process may write, and returns the generation of the group. The caller gives it back. A
// process that had a turn in an earlier generation has to read again what others have done since. One that stood still,
// so that the group may have given the partition to another, waits until it hears from the group.
func (t *replayTurn) acquire(ctx context.Context) (generation int32, err error) {
	for {
		generation, err = t.waitAssigned(ctx)
		if err != nil || t.isMember() {
			return generation, err
		}
		t.release(generation)
		if err := kafka.Sleep(ctx, t.quiet/20); err != nil {
			return 0, fmt.Errorf("no heartbeat of the group %q is answered: %w", t.group, err)
		}
	}
}

// isMember reports whether the group cannot have taken the partition away yet: it has lately heard from this process.
func (t *replayTurn) isMember() bool {
	s := t.member.Status()
	return time.Since(s.LastHeartbeat) < t.quiet || time.Since(s.LastRebalance) < t.quiet
}

func (t *replayTurn) waitAssigned(ctx context.Context) (generation int32, err error) {
	select {
	case generation = <-t.turn:
		return generation, nil
	case <-t.lost:
		return 0, t.holder(ctx)
	case <-t.left:
		return 0, fmt.Errorf("making sure that no other program replays: %w", t.err)
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for the group %q, so that no other program replays: %w", t.group, context.Cause(ctx))
	}
}

func (t *replayTurn) release(generation int32) { t.turn <- generation }

// holder returns an error that names the program whose turn it is.
func (t *replayTurn) holder(ctx context.Context) error {
	const advice = "wait until it ends, or stop it"
	groups, err := t.app.Inspector().Groups(ctx, t.group)
	if err != nil {
		return fmt.Errorf("%w: %s (which one is not known: %w)", ErrReplayRunning, advice, err)
	}
	for _, m := range groups[0].Members {
		if len(m.Partitions) > 0 {
			return fmt.Errorf("%w: the client %q at %s: %s", ErrReplayRunning, m.ClientID, m.Host, advice)
		}
	}
	return fmt.Errorf("%w, or did a moment ago: try again", ErrReplayRunning)
}

// Assign implements group.Consumer.
func (t *replayTurn) Assign(a group.Assignment) {
	if len(a.Partitions) == 0 {
		t.lose()
		return
	}
	select {
	case <-t.lost:
	default:
		t.turn <- a.Generation // Drain has emptied it
	}
}

// Drain implements group.Consumer: it waits until nothing is being written.
func (t *replayTurn) Drain(ctx context.Context) {
	select {
	case <-t.turn:
	case <-t.lost:
	case <-ctx.Done():
		t.lose()
	}
}

// Marks implements group.Consumer: nothing is ever committed.
func (t *replayTurn) Marks() map[kafka.TopicPartition]int64 { return nil }
