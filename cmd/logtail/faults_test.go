package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// advertise has the embedded broker say of one topic where it is: which broker, and who leads its partitions.
func (b *bench) advertise(port int32, topic string, leaders func() []int32) {
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		m := r.ResponseKind().(*kmsg.MetadataResponse)
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port = 0, "127.0.0.1", port
		m.Brokers = append(m.Brokers, broker)
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = kmsg.StringPtr(topic)
		for id, leader := range leaders() {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = int32(id), leader
			if leader < 0 {
				p.ErrorCode = kerr.LeaderNotAvailable.Code
			}
			t.Partitions = append(t.Partitions, p)
		}
		m.Topics = append(m.Topics, t)
		return m, nil, true
	})
}

func (b *bench) port() int32 {
	address, err := net.ResolveTCPAddr("tcp", b.cluster.Servers()[0])
	if err != nil {
		b.t.Fatal(err)
	}
	return int32(address.Port)
}

// One of two brokers takes connections and answers nothing.
func TestABrokerThatHangsCostsAStartNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("one", "INFO", 20), time.Now())
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	for range 5 {
		servers := hung.Addr().String() + "," + b.cluster.Servers()[0]
		stdout, stderr, code := b.run("-b", servers, "--no-follow", "-n", "1", "logs.*")
		if code != exitOK || stderr != "" || messages(t, stdout) != "one" {
			t.Fatalf("code %d, %s", code, stderr)
		}
	}
}

// The address that the brokers advertise is one that nobody listens on: --no-follow ends, and names it.
func TestAnAdvertisedAddressThatCannotBeReached(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Kfake(kfake.NumBrokers(1)))
	b.publish("logs.a", logValue("one", "INFO", 20), time.Now())
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = away.Close()
	b.advertise(int32(away.Addr().(*net.TCPAddr).Port), b.prefix+"logs.a", func() []int32 { return []int32{0} })
	stdout, stderr, code := b.run("-q", "--no-follow", "-n", "3", "logs.a")
	if code != exitUnreachable || stdout != "" || !strings.Contains(stderr, away.Addr().String()) ||
		!strings.Contains(stderr, "the brokers advertise it") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// A partition without a leader is told: with --no-follow as an error, while following once, and once when it is over.
func TestPartitionsWithoutALeader(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Kfake(kfake.NumBrokers(1)))
	b.publish("logs.a", logValue("one", "INFO", 20), time.Now())
	var leader atomic.Int32 // of partition 1
	leader.Store(-1)
	b.advertise(b.port(), b.prefix+"logs.a", func() []int32 { return []int32{0, leader.Load()} })
	_, stderr, code := b.run("--no-follow", "--from", "start", "logs.a")
	if want := "logtail: logs.a/1: cannot be read: the partition has no leader\n"; code != exitFailed ||
		!strings.HasPrefix(stderr, want) {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	f := b.follow("--from", "start", "logs.a")
	told := func(what string) func() bool { return func() bool { return strings.Contains(f.stderr.String(), what) } }
	testkit.Eventually(t, told("logtail: logs.a/1: the partition has no leader; it is read when it has one again"),
		f.stderr.String)
	leader.Store(0)
	testkit.Eventually(t, told("logtail: logs.a/1: the partition has a leader again"), f.stderr.String)
	f.interrupt()
	if n := strings.Count(f.stderr.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, f.stderr.String())
	}
}

// A partition that may not be read is told once, and read as soon as it may be.
func TestADeniedPartitionIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Kfake(kfake.NumBrokers(1)))
	b.publish("logs.denied", logValue("denied", "INFO", 20), time.Now())
	b.publish("logs.other", logValue("other", "INFO", 20), time.Now())
	b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: b.prefix + "logs.denied",
		Err: kerr.TopicAuthorizationFailed, Count: 1})
	f := b.follow("--from", "start", "--window", "0", "logs.*")
	if got := f.next() + " " + f.next(); got != "other denied" && got != "denied other" {
		t.Errorf("got %q", got)
	}
	if s := f.stderr.String(); !strings.Contains(s, "logtail: logs.denied/") ||
		!strings.Contains(s, "they are shown when that is over") {
		t.Errorf("stderr %q", s)
	}
	f.interrupt()
}

// When no stream may be read, following ends with an error.
func TestNothingMayBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Kfake(kfake.NumBrokers(1)))
	b.publish("logs.denied", logValue("denied", "INFO", 20), time.Now())
	b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	stdout, stderr, code := b.run("--from", "start", "logs.*")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "no right to read any of the streams that match") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// A cursor from before a stream was recreated is not used as a position in the new one.
func TestACursorBehindTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("one", "INFO", 20), time.Now())
	file := filepath.Join(t.TempDir(), "cursor")
	text := fmt.Sprintf(`{"offsets":{%q:{"0":9,"1":9,"2":9,"3":9,"4":9,"5":9,"6":9}}}`, b.prefix+"logs.a")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := b.run("--no-follow", "--cursor-file", file, "logs.a")
	if code != exitOK || messages(t, stdout) != "one" || !strings.Contains(stderr, "was recreated") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// Records that were deleted before they were read are named, and the exit code is 1.
func TestRecordsThatAreDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const records, kept = 3000, 2990
	filler := strings.Repeat("x", 1000)
	for i := 0; i < records; i += 10 { // batches of 10 kB, all of one partition
		batch := make([]bus.Outgoing, 10)
		for j := range batch {
			batch[j] = bus.Outgoing{Key: []byte("k"), Value: []byte(logValue(fmt.Sprint(i+j, filler), "INFO", 20))}
		}
		if err := b.app.PublishBatch(t.Context(), "logs.a", batch); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read, write := io.Pipe()
	var stderr lockedBuffer
	code := make(chan int, 1)
	go func() {
		args := []string{"--no-follow", "--from=start", "--kafka-settings", `{"max_partition_fetch_bytes":10000,` +
			`"fetch_max_bytes":20000}`, "logs.a"}
		code <- Run(ctx, args, streams{out: write, err: &stderr, getenv: b.env})
		_ = write.Close()
	}()
	if _, err := io.ReadFull(read, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	partition := b.deleteRecords("logs.a", kept)
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitFailed ||
		!strings.Contains(stderr.String(), fmt.Sprintf("logs.a/%d: records ", partition)) ||
		!strings.Contains(stderr.String(), fmt.Sprintf(" to %d: records were deleted before they were read", kept-1)) {
		t.Errorf("exit code %d; %s", got, stderr.String())
	}
}

// A broker that is lost in the middle, and does not come back, does not hold a run with --no-follow for ever.
func TestABrokerThatIsLostEndsARunThatDoesNotFollow(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	filler := strings.Repeat("x", 1000)
	batch := make([]bus.Outgoing, 3000)
	for i := range batch {
		batch[i] = bus.Outgoing{Key: []byte("k"), Value: []byte(logValue(fmt.Sprint(i, filler), "INFO", 20))}
	}
	if err := b.app.PublishBatch(t.Context(), "logs.a", batch); err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	var stderr lockedBuffer
	o := newOptions(streams{out: write, err: &stderr, getenv: b.env})
	o.away = 5 * time.Second
	code := make(chan int, 1)
	go func() {
		code <- o.main(t.Context(), []string{"--no-follow", "--from=start", "--kafka-settings",
			`{"max_partition_fetch_bytes":10000,"fetch_max_bytes":20000}`, "logs.a"})
		_ = write.Close()
	}()
	if _, err := io.ReadFull(read, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.cluster.Kill(0)
	if _, err := io.Copy(io.Discard, read); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitFailed || !strings.Contains(stderr.String(), "logtail: Kafka has sent nothing for "+
		"5s: ") ||
		!strings.HasSuffix(stderr.String(), "; records are missing\n") {
		t.Errorf("exit code %d; %s", got, stderr.String())
	}
}

// What --from asks for may be deleted already: that is said, and the partition is read from its first record.
func TestFromBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		if err := b.app.PublishRaw(t.Context(), "logs.a", []byte(logValue(fmt.Sprint(i), "INFO", 20)),
			bus.Key("k")); err != nil {
			t.Fatal(err)
		}
	}
	partition := b.deleteRecords("logs.a", 2)
	deleted := fmt.Sprintf("logtail: --from: records are deleted: logs.a/%d begins at offset 2\n", partition)
	place := fmt.Sprintf("logs.a/%d", partition)
	for from, want := range map[string]string{"1": deleted, place + "@0": deleted, "2": "", place + "@2": ""} {
		stdout, stderr, code := b.run("--no-follow", "--from", from, "logs.*")
		if code != exitOK || stderr != want || messages(t, stdout) != "2" {
			t.Errorf("--from %s: code %d, standard error %q, records %s", from, code, stderr, stdout)
		}
	}
}

// deleteRecords deletes those before an offset in the one partition that has so many, and returns its number.
func (b *bench) deleteRecords(stream string, before int64) (partition int32) {
	b.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Servers()...))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	for id := range int32(7) {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 5000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{
			Topic: b.prefix + stream, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: id, Offset: before}},
		}}
		for _, shard := range client.RequestSharded(b.t.Context(), req) {
			if shard.Err != nil {
				b.t.Fatal(shard.Err)
			}
			if shard.Resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode == 0 {
				return id
			}
		}
	}
	b.t.Fatal("no partition has so many records")
	return 0
}

// STREAM/PARTITION@OFFSET prints a record wherever it stands in its partition, without an error about what follows it.
func TestOneRecordByItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, message := range []string{"first", "second", "third"} {
		if err := b.app.PublishRaw(t.Context(), "logs.a", []byte(logValue(message, "INFO", 20)), bus.Key("k")); err != nil {
			t.Fatal(err)
		}
	}
	stdout, _, _ := b.run("--no-follow", "-n", "1", "logs.a")
	var last struct {
		Partition int32 `json:"_partition"`
	}
	if err := json.Unmarshal([]byte(stdout), &last); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	check := func() {
		t.Helper()
		s := b.serve(nil, "logs.a")
		for offset, want := range []string{"first", "second", "third"} {
			place := fmt.Sprintf("logs.a/%d@%d", last.Partition, offset)
			if stdout, stderr, code := b.run("-q", place); messages(t, stdout) != want || stderr != "" || code != exitOK {
				t.Errorf("%s: code %d, stdout %q, stderr %q, want %s", place, code, stdout, stderr, want)
			}
			if status, text := s.answer(t, "api/record?place="+place, ""); status != http.StatusOK ||
				!strings.Contains(text, want) {
				t.Errorf("%s on the page: status %d: %s", place, status, text)
			}
		}
	}
	check()

	p, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Servers()...), kgo.TransactionalID(b.prefix),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	open := &kgo.Record{Topic: b.prefix + "logs.a", Partition: last.Partition, Value: []byte(logValue("open", "INFO", 20))}
	if err := p.ProduceSync(t.Context(), open).FirstErr(); err != nil {
		t.Fatal(err)
	}
	check()
	_, stderr, code := b.run("-q", fmt.Sprintf("logs.a/%d@3", last.Partition))
	if code != exitFailed || !strings.Contains(stderr, "a transaction is open") {
		t.Errorf("the record in the transaction: code %d, stderr %q", code, stderr)
	}
	if err := p.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

// Records behind an open transaction are told in one line, and come when it has ended.
func TestRecordsBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("before", "INFO", 20), time.Now())
	p, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Servers()...), kgo.TransactionalID(b.prefix),
		kgo.DefaultProduceTopic(b.prefix+"logs.a"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.ProduceSync(t.Context(), kgo.StringRecord(logValue("open", "INFO", 20))).FirstErr(); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := b.run("--no-follow", "logs.*")
	if messages(t, stdout) != "before" || code != exitFailed || !strings.Contains(stderr, "a transaction is open") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	f := b.follow("logs.*")
	if got := f.next(); got != "before" {
		t.Errorf("got %q", got)
	}
	testkit.Eventually(t, func() bool {
		return strings.Contains(f.stderr.String(), "a transaction is open: what follows cannot be read before it ends; "+
			"they are shown when that is over")
	}, f.stderr.String)
	if err := p.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := f.next(); got != "open" {
		t.Errorf("got %q", got)
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// The last records that pass are looked for further and further back, within bounds that are told.
func TestLinesAreLookedForFarBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const records = 20_000
	batch := make([]bus.Outgoing, records)
	begin := time.Now().Add(-time.Hour)
	for i := range batch {
		severity, level := "INFO", 20
		if i == 5 || i == 17 || i == 19_000 {
			severity, level = "ERROR", 40
		}
		batch[i] = bus.Outgoing{Value: []byte(logValue(fmt.Sprint("m", i), severity, level)),
			Time: begin.Add(time.Duration(i) * time.Millisecond)}
	}
	if err := b.app.PublishBatch(t.Context(), "logs.a", batch); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, want, stderr string
	}{
		{"-n 1", "m19000", ""},
		{"-n 2 --look-back all", "m17 m19000", ""},
		{"-n 3 --look-back 1m", "m17 m19000 m5", ""},
		{"-n 9 --look-back all", "m17 m19000 m5", ""},
		{"-n 2 --look-back 1", "m19000", "logtail: --lines: 1 found among the last "},
	} {
		stdout, stderr, code := b.run(append(strings.Fields(test.args), "--no-follow", "-l", "error", "logs.*")...)
		if got := messages(t, stdout); got != test.want || code != exitOK || !strings.HasPrefix(stderr, test.stderr) ||
			test.stderr == "" && stderr != "" {
			t.Errorf("%s: got %q, code %d, %s", test.args, got, code, stderr)
		}
	}
}

// 10,000 malformed envelopes and lines of a megabyte: all come out, all are counted.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const records = 10_000
	batch := make([]bus.Outgoing, records)
	for i := range batch {
		batch[i].Value = []byte(`{"schema":"LogRecord:1","data":{"message":"` + "\x1b[2J\xff\u202e" +
			strings.Repeat(`[`, i%300))
	}
	if err := b.app.PublishBatch(t.Context(), "logs.a", batch); err != nil {
		t.Fatal(err)
	}
	b.publish("logs.a", `{"schema":"L:1","data":{"message":"`+strings.Repeat("\u202e", 300_000)+`"}}`, time.Now())
	for _, output := range []string{"json", "pretty"} {
		stdout, stderr, code := b.run("--no-follow", "--from=start", "--stats", "-o", output, "logs.*")
		if code != exitOK || strings.Count(stdout, "\n") != records+1 || strings.ContainsAny(stdout, "\x1b\u202e") ||
			!strings.Contains(stderr, fmt.Sprintf("printed: %d; left out: 0; without a level: 0; not envelopes: %d",
				records+1, records)) {
			t.Errorf("%s: code %d, %d lines, %s", output, code, strings.Count(stdout, "\n"), stderr)
		}
	}
}
