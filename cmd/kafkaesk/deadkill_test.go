package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// isProof reports whether the long forms of the tests are to run (make proof).
func isProof() bool { return os.Getenv("KAFKAESK_PROOF") != "" }

// mending is a program of two groups that give up all records until they are mended, and count what they handle then.
type mending struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	prefix  string
	groups  []string
	client  *kafka.Client

	mu      sync.Mutex
	mended  bool
	handled map[string]map[string]int // by group and value
}

// newMending runs the program until the test ends, and returns when each group has given up that many records and is
// mended.
func newMending(t *testing.T, records int) *mending {
	t.Helper()
	cluster := kafkatest.Start(t, kafkatest.ShortSessions())
	prefix := cluster.Prefix(t)
	m := &mending{t: t, cluster: cluster, prefix: prefix, groups: []string{prefix + "mailer", prefix + "index"}}
	m.handled = map[string]map[string]int{m.groups[0]: {}, m.groups[1]: {}}
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: testkit.Logger(t)})
	for _, group := range m.groups {
		bus.MustSubscribe(app, "content", m.handler(group), bus.Group(group), bus.DeadLetter())
	}
	ended := make(chan error, 1)
	running, stop := context.WithCancel(t.Context())
	go func() { ended <- app.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, app.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	publishNumbers(t, app, records)
	testkit.Eventually(t, func() bool {
		s := app.Stats().Subscriptions
		return s[0].DeadLettered == uint64(records) && s[1].DeadLettered == uint64(records)
	}, func() string { return fmt.Sprintf("given up: %+v", app.Stats().Subscriptions) })
	m.mu.Lock()
	m.mended = true
	m.mu.Unlock()
	var err error
	if m.client, err = kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.client.Close)
	return m
}

func (m *mending) handler(group string) func(context.Context, *bus.Record) error {
	return func(_ context.Context, r *bus.Record) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.mended {
			return bus.Reject(errors.New("not yet"))
		}
		m.handled[group][string(r.Value)]++
		return nil
	}
}

// count returns how many records a group has handled since it was mended, and how often it has handled one again.
func (m *mending) count(group string) (records, repeats int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.handled[group] {
		repeats += times - 1
	}
	return len(m.handled[group]), repeats
}

// wait waits until a group has handled that many records again.
func (m *mending) wait(group string, records int) {
	m.t.Helper()
	testkit.Eventually(m.t, func() bool { got, _ := m.count(group); return got == records }, func() string {
		got, _ := m.count(group)
		return fmt.Sprintf("%d of %d records are handled again", got, records)
	})
}

// Dead letters of two groups are replayed while the program is killed five times by SIGKILL: each record is handled
// again by its own group only, none is lost, and a kill repeats no more than the 100 records that the documentation
// allows. In make proof these are 10,000 dead letters.
func TestAReplayThatIsKilledLosesNothing(t *testing.T) {
	records, kills := 2_000, 5 // of each group
	if isProof() {
		records = 5_000
	}
	m := newMending(t, records)
	killed := make([]int, len(m.groups))
	for n, group := range m.groups {
		for killed[n] < []int{3, 2}[n] {
			if !m.killReplay(group, int64(200*killed[n])) {
				break // all was done before the signal came
			}
			killed[n]++
		}
		if out, err := m.replay(group).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		m.wait(group, records)
		if other, _ := m.count(m.groups[1]); n == 0 && other > 0 {
			t.Errorf("the other group has handled %d records", other)
		}
	}
	for n, group := range m.groups {
		got, repeats := m.count(group)
		if isProof() {
			t.Logf("group %d: %d kills, %d records, %d repeats", n, killed[n], got, repeats)
		}
		if most := 100 * killed[n]; got != records || repeats > most {
			t.Errorf("group %d: %d of %d records, %d repeats, of which %d are allowed", n, got, records, repeats, most)
		}
	}
	if sum := killed[0] + killed[1]; sum == 0 || isProof() && sum < kills {
		t.Errorf("the program was killed %d times: the others, it was done first", sum)
	}
}

// Two programs that replay the same dead letters at one time repeat none: one of them is refused, or comes too late.
func TestTwoReplaysAtOneTime(t *testing.T) {
	t.Parallel()
	const records = 1_000
	m := newMending(t, records)
	var said [2][]byte
	var failed [2]error
	var both sync.WaitGroup
	for i := range said {
		both.Go(func() { said[i], failed[i] = m.replay(m.groups[0]).CombinedOutput() })
	}
	both.Wait()
	if failed[0] != nil && failed[1] != nil {
		t.Errorf("both failed: %s%s", said[0], said[1])
	}
	for i, err := range failed {
		if err != nil && !strings.Contains(string(said[i]), "another program replays or drops these dead letters") {
			t.Errorf("%v: %s", err, said[i])
		}
	}
	m.wait(m.groups[0], records)
	if _, repeats := m.count(m.groups[0]); repeats > 0 {
		t.Errorf("%d records are handled twice", repeats)
	}
}

// publishNumbers publishes records, half of them with keys.
func publishNumbers(t *testing.T, app *bus.App, n int) {
	t.Helper()
	batch := make([]bus.Outgoing, n)
	for i := range batch {
		batch[i].Value = fmt.Appendf(nil, `{"n":%d}`, i)
		if i%2 == 0 {
			batch[i].Key = fmt.Appendf(nil, "key-%d", i%20)
		}
	}
	if err := app.PublishBatch(t.Context(), "content", batch); err != nil {
		t.Fatal(err)
	}
}

// replay is a process that replays all dead letters of a group. Its session is short, so that nobody waits long for it
// when it was killed.
func (m *mending) replay(group string) *exec.Cmd {
	cmd := exec.CommandContext(m.t.Context(), os.Getenv(programEnv), "dead", "replay", "content", group,
		"--topic-prefix", m.prefix, "--kafka-settings", `{"session_timeout_ms":1000,"heartbeat_interval_ms":200}`)
	cmd.Env = append(os.Environ(), "KAFKAESK_KAFKA_SERVERS="+strings.Join(m.cluster.Servers(), ","))
	return cmd
}

// startReplay starts a process that replays, and returns when it has replayed more than that many records. The channel
// is closed when it has ended, which it may have before.
func (m *mending) startReplay(group string, after int64) (cmd *exec.Cmd, exited chan struct{}) {
	m.t.Helper()
	topic := m.prefix + "content." + group + ".replay"
	before := m.recordsOf(topic)
	cmd = m.replay(group)
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	exited = make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its state says how it ended
	}()
	testkit.Eventually(m.t, func() bool {
		select {
		case <-exited:
			return true
		default:
			return m.recordsOf(topic) > before+after
		}
	}, func() string { return "nothing is replayed" })
	return cmd, exited
}

// killReplay kills a replay when it has replayed more than that many records, and reports whether it had not ended
// before.
func (m *mending) killReplay(group string, after int64) bool {
	m.t.Helper()
	cmd, exited := m.startReplay(group, after)
	_ = cmd.Process.Kill() // it may have ended
	<-exited
	return !cmd.ProcessState.Exited()
}

// recordsOf counts the records of a topic; 0 if there is none. It asks for no more than that, so that it sees each
// batch soon.
func (m *mending) recordsOf(topic string) (records int64) {
	parts := make([]kafka.TopicPartition, 7)
	for n := range parts {
		parts[n] = kafka.TopicPartition{Topic: topic, Partition: int32(n)}
	}
	ends, _ := m.client.HighWatermarks(m.t.Context(), parts)
	for _, end := range ends {
		records += end
	}
	return records
}
