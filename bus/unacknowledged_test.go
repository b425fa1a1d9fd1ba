package bus_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// publishers are all ways to publish a value and get its outcome.
func publishers(app *bus.App) map[string]func(ctx context.Context) error {
	return map[string]func(context.Context) error{
		"Publish":    func(ctx context.Context) error { return app.Publish(ctx, "s", Content{Title: "a"}) },
		"PublishRaw": func(ctx context.Context) error { return app.PublishRaw(ctx, "s", []byte("a")) },
		"PublishBatch": func(ctx context.Context) error {
			batch := []bus.Outgoing{{Value: []byte("a")}, {Value: []byte("b")}}
			if err := app.PublishBatch(ctx, "s", batch); err == nil || batch[0].Err == nil || !errors.Is(err, batch[0].Err) {
				return errors.New("the batch and its records disagree")
			}
			return batch[1].Err
		},
		"Receipt": func(ctx context.Context) error {
			r := app.PublishAsync(ctx, "s", Content{Title: "a"})
			<-r.Done()
			return r.Wait(context.Background())
		},
		"Receipt with another context": func(ctx context.Context) error {
			r := app.PublishAsync(context.Background(), "s", Content{Title: "a"})
			return r.Wait(ctx)
		},
	}
}

// stopAnswers keeps the broker from answering produce requests, which it has got, until the test ends.
func stopAnswers(t *testing.T, fake *kfake.Cluster) (arrived <-chan struct{}) {
	got, release := make(chan struct{}, 100), make(chan struct{})
	var over atomic.Bool
	fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		got <- struct{}{}
		if !over.Load() {
			fake.SleepControl(func() { <-release })
		}
		return nil, errors.New("the test is over"), true
	})
	t.Cleanup(func() {
		over.Store(true)
		// kfake stands still for ever when it is closed while this function is about to sleep: it has no current node then.
		eventually(t, func() bool { return fake.CurrentNode() == -1 }, says("a request is neither asleep nor over"))
		close(release)
	})
	return got
}

// When the context ends while the broker has the record, each way to publish says so, in the same words.
func TestAPublishThatIsNotAnsweredIsUnacknowledged(t *testing.T) {
	for name, ended := range map[string]error{"cancelled": context.Canceled, "closed": bus.ErrClosed,
		"timeout": os.ErrDeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			for way := range publishers(nil) {
				t.Run(way, func(t *testing.T) {
					cluster := kafkatest.Start(t, kafkatest.Kfake())
					if err := cluster.Fake().CreateTopic("s", 1, nil); err != nil {
						t.Fatal(err)
					}
					config := bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t), PublishTimeout: -1}
					if name == "timeout" {
						config.PublishTimeout = 200 * time.Millisecond
					}
					app := bus.New(config)
					bus.MustSchema[Content](app, "Content")
					if err := app.Initialize(t.Context()); err != nil {
						t.Fatal(err)
					}
					arrived := stopAnswers(t, cluster.Fake())
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					outcome := make(chan error, 1)
					go func() { outcome <- publishers(app)[way](ctx) }()
					if name == "timeout" {
						// Whether the record got as far as the broker by then is up to the machine.
						if err := <-outcome; !errors.Is(err, ended) || !strings.Contains(err.Error(), "PublishTimeout") {
							t.Errorf("err = %v; want %v", err, ended)
						}
						_ = app.Close(ctxEnded())
						return
					}
					<-arrived
					switch name {
					case "cancelled":
						cancel()
					case "closed":
						_ = app.Close(ctxEnded())
					}
					err := <-outcome
					if !errors.Is(err, ended) || !errors.Is(err, bus.ErrUnacknowledged) {
						t.Errorf("err = %v; want %v, unacknowledged", err, ended)
					}
					if way != "Receipt with another context" && name != "closed" &&
						(!strings.Contains(err.Error(), "no answer yet from broker 0 at "+cluster.Servers()[0])) {
						t.Errorf("err = %v does not say what was waited for", err)
					}
					_ = app.Close(ctxEnded())
				})
			}
		})
	}
}

func ctxEnded() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// What was certainly not stored does not say that it may be.
func TestAPublishThatWasNotSentIsNotUnacknowledged(t *testing.T) {
	denied := func(t *testing.T, c *kafkatest.Cluster) {
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	}
	replicas := func(t *testing.T, c *kafkatest.Cluster) {
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	}
	for name, test := range map[string]struct {
		breaks func(*testing.T, *kafkatest.Cluster)
		want   error
	}{
		"denied":           {denied, bus.ErrAuth},
		"too few replicas": {replicas, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := kafkatest.Start(t, kafkatest.Kfake())
			app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t)})
			t.Cleanup(func() { closeApp(t, app) })
			bus.MustSchema[Content](app, "Content")
			if err := app.PublishRaw(t.Context(), "s", []byte("first")); err != nil {
				t.Fatal(err)
			}
			test.breaks(t, cluster)
			for way, publish := range publishers(app) {
				if way == "Receipt with another context" {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if err := publish(ctx); !errors.Is(err, test.want) || errors.Is(err, bus.ErrUnacknowledged) {
					t.Errorf("%s: %v; want %v, and not unacknowledged", way, err, test.want)
				}
				cancel()
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		app := start(t)
		bus.MustSchema[Content](app, "Content")
		closeApp(t, app)
		for way, publish := range publishers(app) {
			if err := publish(t.Context()); !errors.Is(err, bus.ErrClosed) || errors.Is(err, bus.ErrUnacknowledged) {
				t.Errorf("%s: %v", way, err)
			}
		}
	})
}

// PublishTimeout counts from the call, for an App that finds no broker too, and only where the context has no
// deadline of its own.
func TestPublishTimeoutBoundsAPublishWithoutADeadline(t *testing.T) {
	gate := newGate(t, "127.0.0.1:1")
	app := bus.New(bus.Config{Servers: []string{gate.addr}, Logger: testkit.Logger(t),
		PublishTimeout: 100 * time.Millisecond})
	t.Cleanup(func() { closeApp(t, app) })
	bus.MustSchema[Content](app, "Content")
	for way, publish := range publishers(app) {
		err := publish(t.Context())
		if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, bus.ErrUnacknowledged) {
			t.Errorf("%s: %v; want os.ErrDeadlineExceeded", way, err)
		}
		if !strings.Contains(err.Error(), "PublishTimeout") {
			t.Errorf("%s: %v does not name the setting", way, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := app.PublishRaw(ctx, "s", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline of its own: %v", err)
	}
}

// The leader's address is one that the brokers advertise and nobody listens on: the errors of a publish say all of
// that.
func TestAPublishNamesTheAddressThatCannotBeReached(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	fake := cluster.Fake()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = away.Close()
	address := away.Addr().(*net.TCPAddr)
	fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		m := r.ResponseKind().(*kmsg.MetadataResponse)
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port = 0, "127.0.0.1", int32(address.Port)
		m.Brokers = append(m.Brokers, broker)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("s")
		topic.Partitions = append(topic.Partitions, kmsg.NewMetadataResponseTopicPartition())
		m.Topics = append(m.Topics, topic)
		return m, nil, true
	})
	app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t)})
	t.Cleanup(func() { _ = app.Close(ctxEnded()) })
	bus.MustSchema[Content](app, "Content")
	app.PublishAsync(t.Context(), "s", Content{Title: "a"})
	testkit.Until(t, "Health names the address", func() bool {
		err := app.Health(t.Context())
		return err != nil && strings.Contains(err.Error(), address.String()) &&
			strings.Contains(err.Error(), "advertised.listeners")
	})
	for way, publish := range publishers(app) {
		if way == "Receipt with another context" {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := publish(ctx)
		cancel()
		for _, part := range []string{address.String(), "connection refused", "advertised.listeners"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v\ndoes not say %q", way, err, part)
			}
		}
	}
}

func TestAForwardThatIsNotAnsweredIsUnacknowledged(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t)})
	bus.MustSchema[Content](app, "Content", bus.Streams("from", "to"))
	if err := app.Publish(t.Context(), "from", Content{Title: "a"}); err != nil {
		t.Fatal(err)
	}
	arrived, failed := stopAnswers(t, cluster.Fake()), make(chan error, 1)
	bus.MustSubscribe(app, "from", func(ctx context.Context, m *bus.Message[Content]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			<-arrived
			cancel()
		}()
		failed <- m.Forward(ctx, "to")
		return nil
	}, bus.Group("g"))
	stop := running(t, app)
	if err := <-failed; !errors.Is(err, context.Canceled) || !errors.Is(err, bus.ErrUnacknowledged) {
		t.Errorf("err = %v; want one that is unacknowledged", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	_ = app.Close(ctxEnded())
}
