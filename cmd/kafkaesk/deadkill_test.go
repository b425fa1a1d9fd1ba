package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// isProof tells whether the long forms of the tests are to run (make proof).
func isProof() bool { return os.Getenv("KAFKAESK_PROOF") != "" }

// mending is a program of two groups that give up all records until they are mended, and count what they handle then.
type mending struct {
	mu      sync.Mutex
	mended  bool
	handled map[string]map[string]int // by group and value
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

func (m *mending) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mended = true
}

// Dead letters of two groups are replayed while the program is killed five times by SIGKILL: each record is handled
// again by its own group only, none is lost, and a kill repeats no more than the 100 records that the documentation
// allows. In make proof these are 10,000 dead letters.
func TestAReplayThatIsKilledLosesNothing(t *testing.T) {
	records, kills := 2_000, 5 // of each group
	if isProof() {
		records = 5_000
	}
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: testkit.Logger(t)})
	groups := []string{prefix + "mailer", prefix + "index"}
	m := &mending{handled: map[string]map[string]int{groups[0]: {}, groups[1]: {}}}
	for _, group := range groups {
		bus.MustSubscribe(app, "content", m.handler(group), bus.Group(group), bus.DeadLetter())
	}
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- app.Run(running) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, app.Close(context.WithoutCancel(ctx))); err != nil {
			t.Error(err)
		}
	}()
	publishNumbers(ctx, t, app, records)
	testkit.Eventually(t, func() bool {
		s := app.Stats().Subscriptions
		return s[0].DeadLettered == uint64(records) && s[1].DeadLettered == uint64(records)
	}, func() string { return fmt.Sprintf("given up: %+v", app.Stats().Subscriptions) })
	m.mend()

	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	killed := make([]int, len(groups))
	for n, group := range groups {
		for killed[n] < []int{3, 2}[n] {
			if !killReplay(ctx, t, cluster, client, prefix, group, int64(200*killed[n])) {
				break // all was done before the signal came
			}
			killed[n]++
		}
		if out, err := replayProgram(ctx, t, cluster, prefix, group).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		testkit.Eventually(t, func() bool { got, _ := m.count(group); return got == records }, func() string {
			got, _ := m.count(group)
			return fmt.Sprintf("%d of %d records are handled again", got, records)
		})
		if other, _ := m.count(groups[1]); n == 0 && other > 0 {
			t.Errorf("the other group has handled %d records", other)
		}
	}
	for n, group := range groups {
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

// publishNumbers publishes records, half of them with keys.
func publishNumbers(ctx context.Context, t *testing.T, app *bus.App, n int) {
	t.Helper()
	batch := make([]bus.Outgoing, n)
	for i := range batch {
		batch[i].Value = fmt.Appendf(nil, `{"n":%d}`, i)
		if i%2 == 0 {
			batch[i].Key = fmt.Appendf(nil, "key-%d", i%20)
		}
	}
	if err := app.PublishBatch(ctx, "content", batch); err != nil {
		t.Fatal(err)
	}
}

// replayProgram is a process that replays all dead letters of a group.
func replayProgram(ctx context.Context, t *testing.T, cluster *kafkatest.Cluster, prefix, group string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Getenv(programEnv), "dead", "replay", "content", group, "--topic-prefix", prefix)
	cmd.Env = append(os.Environ(), "KAFKAESK_KAFKA_SERVERS="+strings.Join(cluster.Servers(), ","))
	return cmd
}

// killReplay kills a replay when it has replayed more than that many records, and tells whether it had not ended
// before.
func killReplay(ctx context.Context, t *testing.T, cluster *kafkatest.Cluster, client *kafka.Client, prefix,
	group string,
	after int64,
) bool {
	t.Helper()
	topic := prefix + "content." + group + ".replay"
	before := recordsOf(ctx, client, topic)
	cmd := replayProgram(ctx, t, cluster, prefix, group)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its state says how it ended
	}()
	testkit.Eventually(t, func() bool {
		select {
		case <-exited:
			return true
		default:
			return recordsOf(ctx, client, topic) > before+after
		}
	}, func() string { return "nothing is replayed" })
	_ = cmd.Process.Kill() // it may have ended
	<-exited
	return !cmd.ProcessState.Exited()
}

// recordsOf counts the records of a topic; 0 if there is none. It asks for no more than that, so that it sees each
// batch soon.
func recordsOf(ctx context.Context, client *kafka.Client, topic string) (records int64) {
	parts := make([]kafka.TopicPartition, 7)
	for n := range parts {
		parts[n] = kafka.TopicPartition{Topic: topic, Partition: int32(n)}
	}
	ends, _ := client.HighWatermarks(ctx, parts)
	for _, end := range ends {
		records += end
	}
	return records
}
