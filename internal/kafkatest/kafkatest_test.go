package kafkatest_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// publish writes one record and waits for its acknowledgement.
func publish(ctx context.Context, servers []string, topic, value string, opts ...kgo.Opt) error {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(servers...), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(-1)}, opts...)...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

// read returns the first n values of the topic, in any order of partitions.
func read(t *testing.T, servers []string, topic string, n int) []string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var values []string
	for len(values) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	slices.Sort(values)
	return values
}

func TestTestsShareACluster(t *testing.T) {
	a, b := kafkatest.Start(t), kafkatest.Start(t)
	if !slices.Equal(a.Servers(), b.Servers()) {
		t.Fatalf("servers %v and %v, want the same", a.Servers(), b.Servers())
	}
	if a.CanKill() {
		t.Error("a shared cluster may be killed")
	}
	topic := a.Prefix(t) + "shared"
	if err := publish(t.Context(), a.Servers(), topic, "v"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b.Servers(), topic, 1); got[0] != "v" {
		t.Fatalf("read %q, want v", got)
	}
}

func TestPrefix(t *testing.T) {
	c := kafkatest.Start(t)
	t.Run("odd name: Größe/µ_x", func(t *testing.T) {
		a, b := c.Prefix(t), c.Prefix(t)
		if a == b {
			t.Errorf("two prefixes are both %q", a)
		}
		if want := regexp.MustCompile(`^[a-zA-Z0-9-]{1,70}\.$`); !want.MatchString(a) {
			t.Errorf("prefix %q, want %v", a, want)
		}
	})
}

func TestKillAndRestartKeepWhatWasAcknowledged(t *testing.T) {
	c := kafkatest.Start(t, kafkatest.Own())
	if !c.CanKill() {
		t.Skip("this Kafka cannot be killed: run with KAFKA=apache")
	}
	topic := c.Prefix(t) + "kept"
	want := []string{"before the first", "before the second"}
	for _, value := range want {
		if err := publish(t.Context(), c.Servers(), topic, value); err != nil {
			t.Fatal(err)
		}
		c.Kill(0)
		if _, err := net.Dial("tcp", c.Servers()[0]); err == nil {
			t.Fatal("a killed broker accepts connections")
		}
		c.Restart(0)
	}
	if got := read(t, c.Servers(), topic, 2); !slices.Equal(got, want) {
		t.Fatalf("read %q, want %q", got, want)
	}
}

func TestThreeNodes(t *testing.T) {
	c := kafkatest.Start(t, kafkatest.Own(), kafkatest.Nodes(3))
	if len(c.Servers()) != 3 {
		t.Fatalf("%d servers, want 3", len(c.Servers()))
	}
	for _, addr := range c.Servers() {
		ids, err := apache.Brokers(t.Context(), addr)
		if err != nil || len(ids) != 3 {
			t.Fatalf("%s lists brokers %v, error %v; want 3", addr, ids, err)
		}
	}
	if !c.CanKill() {
		return
	}
	topic := c.Prefix(t) + "replicated"
	want := []string{"1 with three", "2 with two"}
	for i, value := range want {
		if i == 1 {
			c.Kill(1)
		}
		if err := publish(t.Context(), c.Servers(), topic, value); err != nil {
			t.Fatal(err)
		}
	}
	c.Restart(1)
	if got := read(t, c.Servers()[1:2], topic, 2); !slices.Equal(got, want) {
		t.Fatalf("read %q, want %q", got, want)
	}
}

func TestSASL(t *testing.T) {
	c := kafkatest.Start(t, kafkatest.SASL("ada", "secret"))
	mechanisms := map[string]func(password string) sasl.Mechanism{
		"PLAIN": func(p string) sasl.Mechanism { return plain.Auth{User: "ada", Pass: p}.AsMechanism() },
		"SCRAM-SHA-256": func(p string) sasl.Mechanism {
			return scram.Auth{User: "ada", Pass: p}.AsSha256Mechanism()
		},
		"SCRAM-SHA-512": func(p string) sasl.Mechanism {
			return scram.Auth{User: "ada", Pass: p}.AsSha512Mechanism()
		},
	}
	for name, with := range mechanisms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := publish(t.Context(), c.Servers(), c.Prefix(t)+"sasl", "v", kgo.SASL(with("secret"))); err != nil {
				t.Fatalf("with the password: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := publish(ctx, c.Servers(), c.Prefix(t)+"sasl", "v", kgo.SASL(with("wrong")), kgo.RecordRetries(0),
				kgo.RetryTimeout(time.Second))
			if err == nil {
				t.Fatal("a wrong password was let in")
			}
		})
	}
}

func TestInjectedFault(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Kfake(kfake.SeedTopics(1, "seeded")))
	if c.IsReal() {
		t.Fatal("a real Kafka for a test that asked for kfake")
	}
	c.Fake().ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("cut off"), true
	})
	err := publish(t.Context(), c.Servers(), "seeded", "v", kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	if err == nil {
		t.Fatal("the fault was not injected")
	}
}

func TestProperty(t *testing.T) {
	c := kafkatest.Start(t, kafkatest.Property("auto.create.topics.enable", "false"))
	err := publish(t.Context(), c.Servers(), c.Prefix(t)+"missing", "v", kgo.UnknownTopicRetries(0))
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("error = %v, want unknown topic", err)
	}
}
