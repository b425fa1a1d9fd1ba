package kafkatest

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

func TestWhatAKafkaCannot(t *testing.T) {
	t.Parallel()
	b, err := devkafka.Start(devkafka.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	there := externalProvider{addrs: b.Addrs()}
	fault := Kfake(kfake.SleepOutOfOrder())
	tests := []struct {
		name string
		from provider
		asks []Option
		want string // part of the reason; "" = it can
	}{
		{name: "embedded, faults", from: embeddedProvider{}, asks: []Option{fault}},
		{name: "embedded, three nodes", from: embeddedProvider{}, asks: []Option{Nodes(3)}},
		{name: "embedded, properties", from: embeddedProvider{}, asks: []Option{Property("a", "b")}, want: "KAFKA=apache"},
		{name: "apache, own", from: apacheProvider{}, asks: []Option{Own(), Nodes(3), Property("a", "b")}},
		{name: "apache, faults", from: apacheProvider{}, asks: []Option{fault}, want: "without KAFKA"},
		{name: "external, shared", from: there},
		{name: "external, own", from: there, asks: []Option{Own()}, want: "KAFKA=apache"},
		{name: "external, faults", from: there, asks: []Option{fault}, want: "without KAFKA"},
		{name: "external, short sessions", from: there, asks: []Option{ShortSessions()},
			want: "group.min.session.timeout.ms=1000 or less"},
		{name: "embedded, short sessions", from: embeddedProvider{}, asks: []Option{ShortSessions()}},
		{name: "external, more nodes than it has", from: there, asks: []Option{Nodes(3)}, want: "needs 3 brokers"},
		{name: "docker, three nodes", from: dockerProvider{}, asks: []Option{Nodes(3)}, want: "needs 3 brokers"},
		{name: "docker, faults", from: dockerProvider{}, asks: []Option{fault}, want: "without KAFKA"},
		{name: "docker, SASL", from: dockerProvider{}, asks: []Option{SASL("u", "p")}, want: "KAFKA=apache"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request{nodes: 1}
			for _, ask := range tt.asks {
				ask(&r)
			}
			got := tt.from.cannot(r)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("reason %q, want %q in it", got, tt.want)
			}
		})
	}
}

// The container is asked for here, so that one suite runs it wherever there is a daemon.
func TestDocker(t *testing.T) {
	t.Parallel()
	var p dockerProvider
	if reason := p.cannot(request{nodes: 1}); reason != "" {
		t.Skip(reason)
	}
	b, err := p.start(request{nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := (externalProvider{addrs: b.servers()}).start(request{}); err != nil {
		t.Fatal(err)
	}
}

// countedProvider counts how often it is asked.
type countedProvider struct {
	err             error
	starts, stopped int
}

func (p *countedProvider) cannot(request) string { return "" }

func (p *countedProvider) start(request) (backend, error) {
	p.starts++
	if p.err != nil {
		return nil, p.err
	}
	return countedBackend{external{}, p}, nil
}

type countedBackend struct {
	external
	p *countedProvider
}

func (b countedBackend) stop() error {
	b.p.stopped++
	return nil
}

func TestSharedClusterStopsAfterItsLastUser(t *testing.T) {
	t.Parallel()
	from := &countedProvider{}
	p := &pool{clusters: make(map[int]*sharedCluster)}
	want := func(starts, stopped int) {
		t.Helper()
		if from.starts != starts || from.stopped != stopped {
			t.Errorf("%d starts and %d stops, want %d and %d", from.starts, from.stopped, starts, stopped)
		}
	}
	t.Run("two users", func(t *testing.T) {
		p.get(t, from, request{nodes: 1})
		t.Run("second", func(t *testing.T) { p.get(t, from, request{nodes: 1}) })
		want(1, 0)
	})
	want(1, 1)

	p.keep = true
	t.Run("kept", func(t *testing.T) { p.get(t, from, request{nodes: 1}) })
	t.Run("other number of nodes", func(t *testing.T) { p.get(t, from, request{nodes: 3}) })
	want(3, 1)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	want(3, 3)
}

func TestSharedClusterThatDoesNotStartIsTriedOnce(t *testing.T) {
	t.Parallel()
	from := &countedProvider{err: errors.New("no Java")}
	p := &pool{clusters: make(map[int]*sharedCluster)}
	for range 2 {
		fails := &failing{TB: t}
		func() {
			defer func() { _ = recover() }() // Fatalf does not return
			p.get(fails, from, request{nodes: 1})
		}()
		if !strings.Contains(fails.said, "no Java") {
			t.Errorf("the test was told %q, want the reason", fails.said)
		}
	}
	if from.starts != 1 {
		t.Errorf("%d starts, want 1", from.starts)
	}
}

// failing is a test that fails without failing this one.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(_ string, args ...any) {
	f.said = args[0].(error).Error()
	panic("failed")
}
