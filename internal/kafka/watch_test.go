package kafka

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// questions collects what a cluster is asked about topics: "all", or their names.
type questions struct {
	mu    sync.Mutex
	asked []string
}

func questionsTo(cluster *kfake.Cluster) *questions {
	q := new(questions)
	cluster.ControlKey(kmsg.Metadata.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		r := request.(*kmsg.MetadataRequest)
		q.mu.Lock()
		defer q.mu.Unlock()
		switch {
		case r.Topics == nil:
			q.asked = append(q.asked, "all")
		case len(r.Topics) > 0: // the Transport's name none
			var names []string
			for _, topic := range r.Topics {
				names = append(names, *topic.Topic)
			}
			slices.Sort(names)
			q.asked = append(q.asked, fmt.Sprint(names))
		}
		if r.AllowAutoTopicCreation {
			q.asked = append(q.asked, "to create them")
		}
		return nil, nil, false
	})
	return q
}

func (q *questions) all() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.asked)
}

func (q *questions) count(of string) int {
	n := 0
	for _, asked := range q.all() {
		if asked == of {
			n++
		}
	}
	return n
}

// watch is a Watch that tells the test when it has something new.
type watch struct {
	*Watch
	t       *testing.T
	changed chan struct{}
}

func watchOf(t *testing.T, client *Client, o WatchOptions, topics ...string) *watch {
	t.Helper()
	w := &watch{t: t, changed: make(chan struct{}, 1000)}
	o.Changed = func() { w.changed <- struct{}{} }
	w.Watch = client.Watch(o)
	t.Cleanup(w.Close)
	w.SetTopics(topics)
	return w
}

// until waits until the snapshot is what it should be.
func (w *watch) until(what string, holds func(*Cluster) bool) *Cluster {
	w.t.Helper()
	for {
		if cluster, _, _ := w.Cluster(); cluster != nil && holds(cluster) {
			return cluster
		}
		select {
		case <-w.changed:
		case <-time.After(time.Minute):
			cluster, asked, err := w.Cluster()
			w.t.Fatalf("not in a minute: %s: %+v, %v, %v", what, cluster, asked, err)
		}
	}
}

// aged are settings with which everything is old after d.
func aged(d time.Duration) Settings {
	s := quick()
	s.MetadataMaxAge = d
	return s
}

// Topics with names are asked for by their names, by all watches together, and none is created. What is there and
// does not change is told once and never asked for again before it is old.
func TestAWatchAsksForNamedTopicsOnly(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.SeedTopics(3, "a", "b", "c"))
	asked := questionsTo(cluster)
	client := connect(t, aged(time.Hour), cluster.ListenAddrs()...)
	first := watchOf(t, client, WatchOptions{}, "a", "b")
	snapshot := first.until("both are known", func(c *Cluster) bool { return len(c.Topics) == 2 })
	if snapshot.Topics["a"].led() != 3 || len(snapshot.Brokers) != 1 || snapshot.Topics["c"] != nil {
		t.Errorf("snapshot %+v", snapshot)
	}
	second := watchOf(t, client, WatchOptions{}, "b")
	if again, _, err := second.Cluster(); again != snapshot || err != nil {
		t.Errorf("what is known already: %+v, %v", again, err)
	}
	second.SetTopics([]string{"b", "missing"})
	second.until("the answer for the missing one is there", func(c *Cluster) bool { return len(c.Topics) == 2 })
	for range 3 { // and this is asked for again, as it may come
		n := asked.count("[missing]")
		testkit.Until(t, "the missing one is asked for again", func() bool { return asked.count("[missing]") > n })
	}
	if got := asked.count("all") + asked.count("to create them"); got > 0 || asked.all()[0] != "[a b]" ||
		asked.count("[a b]") != 1 {
		t.Errorf("asked for %q", asked.all())
	}
	if again, _, _ := first.Cluster(); again != snapshot {
		t.Error("another snapshot without anything new")
	}
	if err := cluster.CreateTopic("missing", 2, nil); err != nil {
		t.Fatal(err)
	}
	second.until("the missing one has come", func(c *Cluster) bool { return c.Topics["missing"].complete() })
	if got := asked.count("all"); got > 0 {
		t.Errorf("asked for %q", asked.all())
	}
}

func TestAWatchOfAllTopicsSeesThemComeAndGo(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.SeedTopics(2, "a"))
	asked := questionsTo(cluster)
	client := connect(t, aged(20*time.Millisecond), cluster.ListenAddrs()...)
	w := watchOf(t, client, WatchOptions{All: true})
	w.until("a", func(c *Cluster) bool { return c.Topics["a"].complete() })
	named := watchOf(t, client, WatchOptions{}, "a") // is told by the looks at all
	if c, _, err := named.Cluster(); c == nil || err != nil {
		t.Errorf("what is known of all: %+v, %v", c, err)
	}
	before := len(w.changed)
	n := asked.count("all")
	testkit.Until(t, "some more looks", func() bool { return asked.count("all") > n+3 })
	if got := len(w.changed) - before; got > 0 {
		t.Errorf("told %d times of nothing new", got)
	}
	if err := cluster.CreateTopic("b", 1, nil); err != nil {
		t.Fatal(err)
	}
	w.until("b", func(c *Cluster) bool { return c.Topics["b"].complete() })
	if err := cluster.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	w.until("a is gone", func(c *Cluster) bool { return c.Topics["a"] == nil })
	w.Close()
	before = len(w.changed)
	named.until("it is known that a is gone", func(c *Cluster) bool { return c.Topics["a"] == nil })
	n = asked.count("all")
	m := asked.count("[a]")
	testkit.Until(t, "a is asked for by its name", func() bool { return asked.count("[a]") > m+2 })
	if asked.count("all") > n+1 || len(w.changed) > before {
		t.Errorf("after Close: all are asked for (%d), or told of (%d)", asked.count("all")-n, len(w.changed)-before)
	}
}

// A leader that moves is not waited for: Refresh asks now, though what is known is not old. So does a request that
// found no broker.
func TestRefreshFindsAMovedLeader(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(1, "t"))
	client := connect(t, aged(time.Hour), cluster.ListenAddrs()...)
	w := watchOf(t, client, WatchOptions{}, "t")
	before := w.until("t", func(c *Cluster) bool { return c.Topics["t"].complete() }).Topics["t"].Leaders[0]
	for _, refresh := range []func(){
		w.Refresh,
		func() {
			lost := &describeTopic{clientID: "test"}
			silence(cluster, kmsg.DescribeConfigs.Int16())
			if _, err := client.RoundTrip(t.Context(), lost, 20*time.Millisecond); err == nil {
				t.Error("a request that hangs was answered")
			}
		},
	} {
		after := 1 - before
		if err := cluster.MoveTopicPartition("t", 0, after); err != nil {
			t.Fatal(err)
		}
		refresh()
		w.until("the new leader", func(c *Cluster) bool { return c.Topics["t"].Leaders[0] == after })
		before = after
	}
}

// A broker that does not answer is told as often as it is asked, and the snapshot stays.
func TestAWatchTellsThatBrokersDoNotAnswer(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.SeedTopics(1, "t"))
	client := connect(t, aged(10*time.Millisecond), cluster.ListenAddrs()...)
	w := watchOf(t, client, WatchOptions{}, "t")
	snapshot := w.until("t", func(c *Cluster) bool { return c.Topics["t"].complete() })
	var away sync.Mutex
	failing := true
	cluster.ControlKey(kmsg.Metadata.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		away.Lock()
		defer away.Unlock()
		return request.ResponseKind(), nil, failing // without a broker: it has just started
	})
	for range 3 {
		w.untilError(true)
	}
	if c, _, _ := w.Cluster(); c != snapshot {
		t.Error("the snapshot is another one")
	}
	away.Lock()
	failing = false
	away.Unlock()
	w.untilError(false)
}

func (w *watch) untilError(want bool) {
	w.t.Helper()
	for {
		<-w.changed
		if _, _, err := w.Cluster(); (err != nil) == want {
			return
		}
	}
}
