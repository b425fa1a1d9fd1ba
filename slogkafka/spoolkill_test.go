package slogkafka_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// key gives all records that say so the same key: it is the records of a key that keep their order.
func key(_ context.Context, r slog.Record) []byte { return []byte(r.Message) }

// keepUp waits until the queue has room for more: none of the records is to be dropped.
func keepUp(h *slogkafka.Handler, most uint64) {
	for h.Stats().Queued > most {
		time.Sleep(100 * time.Microsecond)
	}
}

const spoolVariable = "SLOGKAFKA_SPOOL"

// spoolProgram logs for ever, and reaches no broker. It prints how many of its records are on disk, and synced, as that
// number grows.
func spoolProgram(dir, round string) {
	app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(200, 0), slogkafka.SpoolSync(0), slogkafka.Key(key),
		slogkafka.Overflow(slogkafka.Spool(dir, 1<<30)), slogkafka.Fallback(slog.DiscardHandler))
	if err := h.Err(); err != nil {
		fmt.Println(err)
		return
	}
	logger := slog.New(h)
	for n, printed := 0, uint64(0); ; n++ {
		logger.Info("m", "round", round, "n", n)
		s := h.Stats()
		if s.Dropped > 0 {
			fmt.Println("records were dropped")
			return
		}
		// What was read back to be sent counts as queued, so that the number is too low by at most that.
		if on := s.Spooled - min(s.Spooled, s.Recovered); on > printed {
			printed = on
			fmt.Println(printed)
		}
		if n%10 == 0 {
			keepUp(h, 100)
		}
	}
}

// A process that logs is killed again and again (100 times in make proof). All records that it said are synced are
// delivered by the last one, in order, and no others than were logged.
func TestKillingALoggingProcess(t *testing.T) {
	t.Parallel()
	if os.Getenv(spoolVariable) != "" {
		dir, round, _ := strings.Cut(os.Getenv(spoolVariable), " ")
		spoolProgram(dir, round)
		return
	}
	kills := 6
	if os.Getenv("KAFKAESK_PROOF") != "" {
		kills = 100
	}
	dir, synced := t.TempDir(), make([]int, kills)
	for round := range synced {
		synced[round] = killLater(t, dir, round, 20+round*37%200)
	}
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	h := slogkafka.NewHandler(app, "logs", slogkafka.Overflow(slogkafka.Spool(dir, 1<<30)))
	testkit.Until(t, "all are delivered", func() bool { s := h.Stats(); return s.Spooled+s.Queued == 0 })
	if s := h.Stats(); s.Recovered == 0 || s.Delivered != s.Recovered {
		t.Errorf("the counts are %+v", s)
	}
	got, all := make([]int, kills), 0
	for _, r := range tail(t, app, "logs") {
		round, n := fieldsOf(t, r.Value)
		if got[round] != n {
			t.Fatalf("round %d: record %d comes where %d should", round, n, got[round])
		}
		got[round]++
		all++
	}
	promised := 0
	for round, n := range synced {
		promised += n
		if got[round] < n {
			t.Errorf("round %d: %d records were synced, %d are there", round, n, got[round])
		}
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	t.Attr("figures", fmt.Sprintf("%d kills: %d records were said to be synced, %d were delivered, 0 lost", kills,
		promised, all))
}

// killLater runs spoolProgram, kills it when it has printed so many lines, and returns the last number.
func killLater(t *testing.T, dir string, round, lines int) (synced int) {
	t.Helper()
	cmd := testkit.Command(within(t, 60*time.Second), t, "-test.run=^TestKillingALoggingProcess$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", spoolVariable, dir, round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for i := 0; i < lines && scanner.Scan(); i++ {
		if synced, err = strconv.Atoi(scanner.Text()); err != nil {
			t.Errorf("round %d: %s", round, scanner.Text())
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if synced == 0 {
		t.Fatalf("round %d: nothing was synced", round)
	}
	return synced
}

// fieldsOf returns the two numbers of a record.
func fieldsOf(t *testing.T, value []byte) (first, second int) {
	t.Helper()
	record, err := logrecord.Decode(value)
	if err != nil || len(record.Fields) != 2 {
		t.Fatalf("%v: %s", err, value)
	}
	number := func(i int) int {
		n, err := strconv.Atoi(strings.Trim(string(record.Fields[i].Value), `"`))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return number(0), number(1)
}

// Kafka is killed again and again while records are logged (1,000,000 records and 20 kills in make proof), with a queue
// that is too small for the time without it. Every record is in the topic, and each key's are in order.
func TestKillingKafkaWithASpool(t *testing.T) {
	records, keys, kills := 60_000, 10, 3
	if os.Getenv("KAFKAESK_PROOF") != "" {
		records, kills = 1_000_000, 20
	}
	cluster := kafkatest.Start(t, kafkatest.Own())
	if !cluster.CanKill() {
		t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
	ctx := within(t, 20*time.Minute)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: slog.New(slog.DiscardHandler)})
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(4000, 0), slogkafka.Key(key),
		slogkafka.Overflow(slogkafka.Spool(t.TempDir(), 2<<30)), slogkafka.Fallback(slog.DiscardHandler))
	begin := time.Now()
	due, killed, logged := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(logged)
		logger := slog.New(h)
		for i := range records {
			if i > 0 && i%(records/(kills+1)) == 0 && i/(records/(kills+1)) <= kills {
				due <- struct{}{}
				<-killed
			}
			if i%100 == 0 {
				keepUp(h, 2500)
			}
			logger.Info(fmt.Sprint("key-", i%keys), "id", i, "n", i/keys)
		}
	}()
	most := uint64(0)
	for range kills {
		<-due
		cluster.Kill(0) // with thousands of records on their way
		killed <- struct{}{}
		testkit.Until(t, "records are on disk", func() bool { return h.Stats().Spooled > 5000 })
		most = max(most, h.Stats().Spooled)
		cluster.Restart(0)
	}
	<-logged
	if err := h.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if s := h.Stats(); s.Accepted != uint64(records) || s.Delivered != s.Accepted || s.Spooled+s.Dropped > 0 {
		t.Errorf("the counts are %+v", s)
	}
	reader := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	defer func() { _ = reader.Close(ctx) }()
	seen, latest := make([]bool, records), make([]int, keys)
	read, repeated, disordered := 0, 0, 0
	for r, err := range reader.Tail(ctx, "logs", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatal(err)
		}
		id, n := fieldsOf(t, r.Value)
		read++
		if seen[id] {
			repeated++
			continue
		}
		seen[id] = true
		if latest[id%keys] != n {
			disordered++
		}
		latest[id%keys] = n + 1
	}
	lost := 0
	for _, there := range seen {
		if !there {
			lost++
		}
	}
	t.Attr("figures", fmt.Sprintf("%d logged, %d kills, %v, up to %d on disk: read back %d, lost %d, repeated %d, out "+
		"of order %d",
		records, kills, took.Round(time.Millisecond), most, read, lost, repeated, disordered))
	if lost+disordered > 0 {
		t.Fail()
	}
}
