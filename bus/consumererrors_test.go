package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// passingErrors are what a broker may answer to each request of a consumer, of what it should go on after.
func passingErrors() map[kmsg.Key][]*kerr.Error {
	coordinator := []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator}
	membership := []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress}
	leader := []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition,
		kerr.ReplicaNotAvailable, kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.UnknownServerError}
	return map[kmsg.Key][]*kerr.Error{
		kmsg.FindCoordinator: coordinator,
		kmsg.JoinGroup:       append(slices.Clone(coordinator), kerr.UnknownMemberID, kerr.RebalanceInProgress),
		kmsg.SyncGroup:       slices.Concat(coordinator, membership),
		kmsg.Heartbeat:       slices.Concat(coordinator, membership),
		kmsg.OffsetFetch:     coordinator,
		kmsg.OffsetCommit: slices.Concat(coordinator, membership, []*kerr.Error{kerr.RequestTimedOut,
			kerr.UnknownTopicOrPartition}),
		kmsg.LeaveGroup:  append(slices.Clone(coordinator), kerr.UnknownMemberID),
		kmsg.Fetch:       leader,
		kmsg.ListOffsets: leader,
		kmsg.Metadata:    {kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.ListenerNotFound},
	}
}

// Each error of each request, once, three times in a row, and for two seconds: all records are handled and committed,
// and Run ends without an error. Those of one length go on at the same time, each with an App and a group of its own.
func TestErrorsOfEveryRequestLoseNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		count int
		lasts time.Duration
	}{
		{"once", 1, 0},
		{"three times", 3, 0},
		{"for two seconds", -1, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, embedded())
			var cases sync.WaitGroup
			var mu sync.Mutex
			n, hits, slowest, slow := 0, 0, time.Duration(0), ""
			for key, errs := range passingErrors() {
				for _, err := range errs {
					c := &errorCase{w: w, name: strings.ToLower(fmt.Sprintf("%s-%d", key.Name(), err.Code))}
					w.stream(c.name, 2)
					fault := kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: tt.count, Topic: w.prefix + c.name}
					if key == kmsg.Metadata {
						// Of all requests this one alone names no topic.
						if tt.count > 0 {
							fault.Count *= 10
						}
					}
					switch key {
					case kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.OffsetCommit,
						kmsg.LeaveGroup:
						fault.Group = w.group(c.name)
						fault.Topic = ""
					}
					n++
					cases.Go(func() {
						begin := time.Now()
						met := c.run(fault, tt.lasts)
						mu.Lock()
						defer mu.Unlock()
						hits += met
						if took := time.Since(begin); took > slowest {
							slowest, slow = took, c.name
						}
						if met == 0 {
							t.Errorf("%s: the error was never answered", c.name)
						}
					})
				}
			}
			cases.Wait()
			t.Attr("figures", fmt.Sprintf("%d errors of %d requests, answered %d times: nothing lost, the slowest, %s, took %v",
				n, len(passingErrors()), hits, slow, slowest.Round(time.Millisecond)))
		})
	}
}

type errorCase struct {
	w    *world
	name string // of its stream and its group
}

// run consumes while the broker answers with the fault, and returns how often it did.
func (c *errorCase) run(fault kfake.Fault, lasts time.Duration) (hits int) {
	t, fake := c.w.t, c.w.cluster.Fake()
	fail := func(format string, args ...any) {
		t.Errorf("%s: %s", c.name, fmt.Sprintf(format, args...))
	}
	put := func(first int) {
		for p := range int32(2) {
			c.w.put(c.name, p, contents(first+10*int(p), 10)...)
		}
	}
	put(0)
	handle := fake.Fault(fault)
	defer handle.Remove()
	var got numbers
	var log logged
	app := c.w.unclosed(bus.Config{
		Logger: log.logger(),
		// A member that is told it is unknown leaves one behind that the broker still knows, and waits for.
		Settings: quick(bus.Settings{"session_timeout_ms": 1500}),
	})
	bus.MustSubscribe(app, c.name, got.handle, bus.Group(c.w.group(c.name)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if lasts > 0 {
		go func() {
			if handle.Wait(ctx, 1) == nil { // it begins to last when it is first met
				time.AfterFunc(lasts, handle.Remove)
			}
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()

	committed := func() (n int64) {
		if info := fake.GroupInfo(c.w.group(c.name)); info != nil {
			for _, commit := range info.Commits[c.w.prefix+c.name] {
				n += commit.Offset
			}
		}
		return n
	}
	until := func(what string, holds func() bool) bool {
		for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				fail("%s: handled %v, committed %v\n%s", what, got.sorted(), committed(), &log)
				return false
			}
		}
		return true
	}
	leaving := slices.Contains(fault.Keys, kmsg.LeaveGroup)
	finished := func(n int) func() bool {
		return func() bool { return len(slices.Compact(got.sorted())) == n }
	}
	_ = until("the first records", finished(20)) &&
		until("the fault", func() bool { return leaving || handle.Hits() > 0 }) &&
		func() bool { put(20); return true }() &&
		until("the records after the fault", finished(40)) &&
		until("the commits", func() bool { return committed() == 40 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			fail("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		fail("Run does not end")
	}
	closeApp(t, app)
	return handle.Hits()
}
