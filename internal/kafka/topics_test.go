package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// asked collects the CreateTopics requests that a cluster sees. answer, when it is not nil, gives the code for each, by
// its number from 1; 0 lets the cluster do it.
func asked(cluster *kfake.Cluster,
	answer func(n int64) int16) (*atomic.Int64, *atomic.Pointer[kmsg.CreateTopicsRequestTopic]) {
	n, last := new(atomic.Int64), new(atomic.Pointer[kmsg.CreateTopicsRequestTopic])
	cluster.ControlKey(kmsg.CreateTopics.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		number := n.Add(1)
		r := request.(*kmsg.CreateTopicsRequest)
		last.Store(&r.Topics[0])
		var code int16
		if answer != nil {
			code = answer(number)
		}
		if code == 0 {
			return nil, nil, false
		}
		response := r.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode, topic.ErrorMessage = r.Topics[0].Topic, code, kmsg.StringPtr("because")
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	return n, last
}

// Many callers at once, and the two after them, send one request; and each of them may produce at once.
func TestEnsureTopicCreatesOncePerTopic(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	requests, _ := asked(cluster, nil)
	client := connect(t, quick(), cluster.ListenAddrs()...)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			name := fmt.Sprintf("t%d", i%3)
			if err := client.EnsureTopic(t.Context(), name, TopicSpec{}); err != nil {
				t.Error(err)
				return
			}
			snapshot, err := client.AllTopics(t.Context())
			if err != nil {
				t.Error(err)
			} else if topic := snapshot.Topics[name]; topic == nil || len(topic.Leaders) != 7 || topic.led() != 7 {
				t.Errorf("%s is not ready: %+v", name, topic)
			}
		})
	}
	wg.Wait()
	if err := client.EnsureTopic(t.Context(), "t0", TopicSpec{Partitions: 99}); err != nil {
		t.Error(err)
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d CreateTopics for 3 topics", n)
	}
}

func TestEnsureTopicAsksFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		brokers    int
		spec       TopicSpec
		partitions int32
		replicas   int16
		retention  string
	}{
		{"defaults, one broker", 1, TopicSpec{}, 7, 1, ""},
		{"defaults, two brokers", 2, TopicSpec{}, 7, 2, ""},
		{"defaults, five brokers", 5, TopicSpec{}, 7, 3, ""},
		{"all set", 3, TopicSpec{Partitions: 2, ReplicationFactor: 1, Retention: 24 * time.Hour}, 2, 1, "86400000"},
		{"retention rounds up to a millisecond", 1, TopicSpec{Retention: time.Nanosecond}, 7, 1, "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.NumBrokers(test.brokers))
			_, last := asked(cluster, nil)
			client := connect(t, quick(), cluster.ListenAddrs()...)
			if err := client.EnsureTopic(t.Context(), "t", test.spec); err != nil {
				t.Fatal(err)
			}
			got, retention := last.Load(), ""
			for _, config := range got.Configs {
				retention += config.Name + "=" + *config.Value
			}
			if test.retention != "" {
				test.retention = "retention.ms=" + test.retention
			}
			if got.NumPartitions != test.partitions || got.ReplicationFactor != test.replicas || retention != test.retention {
				t.Errorf("asked for %d partitions, %d replicas, %q", got.NumPartitions, got.ReplicationFactor, retention)
			}
		})
	}
}

// Another process creates the topic between our look and our request, or before it with a cache that is old: as good as
// ours, and visible when EnsureTopic returns.
func TestEnsureTopicOfAnotherProcess(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	s := quick()
	s.MetadataMaxAge = time.Hour // our cache never hears of it by itself
	client := connect(t, s, cluster.ListenAddrs()...)
	if _, err := client.AllTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, quick(), cluster.ListenAddrs()...).EnsureTopic(t.Context(), "t",
		TopicSpec{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	if err := client.EnsureTopic(t.Context(), "t", TopicSpec{}); err != nil {
		t.Fatal(err)
	}
	snapshot, err := client.AllTopics(t.Context())
	if err != nil || snapshot.Topics["t"] == nil || snapshot.Topics["t"].led() != 2 {
		t.Errorf("topic %+v, %v", snapshot.Topics["t"], err)
	}
}

func TestEnsureTopicAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		spec     TopicSpec
		codes    []int16 // of the first requests
		requests int64
		want     error // nil when the topic is there in the end
		text     string
	}{
		{"created", TopicSpec{}, nil, 1, nil, ""},
		{"not the controller, then timed out, then throttled", TopicSpec{}, []int16{41, 7, 89}, 4, nil, ""},
		{"a broker has gone", TopicSpec{}, []int16{38}, 2, nil, ""},
		{"more replicas than brokers", TopicSpec{ReplicationFactor: 9}, []int16{38}, 1, CodeError(38), "because"},
		{"no right", TopicSpec{}, []int16{29}, 1, ErrAuth, "because"},
		{"no right on the cluster", TopicSpec{}, []int16{31}, 1, ErrAuth, `creating topic "t"`},
		{"policy", TopicSpec{}, []int16{44}, 1, CodeError(44), "because"},
		{"a.b beside a_b", TopicSpec{}, []int16{17}, 1, CodeError(17), "because"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			requests, _ := asked(cluster, func(n int64) int16 {
				if int(n) <= len(test.codes) {
					return test.codes[n-1]
				}
				return 0
			})
			client := connect(t, quick(), cluster.ListenAddrs()...)
			err := client.EnsureTopic(t.Context(), "t", test.spec)
			if !errors.Is(err, test.want) || (err != nil && !strings.Contains(err.Error(), test.text)) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.text)
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// The one who asks may give up; those who wait for the same topic do not give up with it.
func TestEnsureTopicOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var open atomic.Bool
	requests, _ := asked(cluster, func(int64) int16 {
		if open.Load() {
			return 0
		}
		return 41
	})
	client := connect(t, quick(), cluster.ListenAddrs()...)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	first := make(chan error, 1)
	go func() { first <- client.EnsureTopic(ctx, "t", TopicSpec{}) }()
	testkit.Until(t, "a request", func() bool { return requests.Load() > 0 })
	second := make(chan error, 1)
	go func() { second <- client.EnsureTopic(t.Context(), "t", TopicSpec{}) }()
	cancel(why)
	if err := <-first; !errors.Is(err, why) {
		t.Errorf("first: %v", err)
	}
	open.Store(true)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestEnsureTopicRefusesAtOnce(t *testing.T) {
	t.Parallel()
	client := connect(t, quick(), "127.0.0.1:1") // nobody is there to refuse it
	for _, name := range []string{"", ".", "..", "a b", "ä", "a/b", "a\x00b", strings.Repeat("a", 250)} {
		err := client.EnsureTopic(t.Context(), name, TopicSpec{})
		if !errors.Is(err, kafkago.InvalidTopic) || !strings.Contains(err.Error(), "1 to 249 of a-z") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, spec := range []TopicSpec{{Partitions: -1}, {ReplicationFactor: -1}, {ReplicationFactor: 1 << 15},
		{Retention: -1}} {
		if err := client.EnsureTopic(t.Context(), "t", spec); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

func TestFlights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f flights
		mine, flight := f.join("a")
		if other, _ := f.join("b"); !mine || !other {
			t.Fatal("a new flight is not mine")
		}
		again, same := f.join("a")
		if again || same != flight {
			t.Fatal("a running flight is started again")
		}
		failure := errors.New("failure")
		f.leave("a", flight, failure, true)
		<-same.done
		if !same.abandoned || same.err != failure {
			t.Error("the result is lost")
		}
		if mine, _ := f.join("a"); !mine {
			t.Error("a flight that has ended is joined")
		}
	})
}
