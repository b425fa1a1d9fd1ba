package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestCheckVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		versions *kversion.Versions
		want     []string // parts of the error; none for a broker that will do
	}{
		{"1.0", kversion.V1_0_0(), []string{"Kafka 2.5 or later is needed",
			"Produce: needs version 8, the broker has 3 to 5"}},
		{"2.1", kversion.V2_1_0(), []string{"Fetch: needs version 11, the broker has 4 to 10"}},
		{"2.4", kversion.V2_4_0(), []string{"JoinGroup: needs version 7", "SyncGroup: needs version 5"}},
		{"2.5", kversion.V2_5_0(), nil},
		{"3.5", kversion.V3_5_0(), nil},
		{"4.1", kversion.V4_1_0(), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.MaxVersions(test.versions))
			err := connect(t, quick(), cluster.ListenAddrs()...).CheckVersions(t.Context())
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrTooOld) {
				t.Fatalf("not ErrTooOld: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing from: %v", want, err)
				}
			}
		})
	}
}

func TestCompareVersionsWithABrokerOfTomorrow(t *testing.T) {
	t.Parallel()
	offers := func(change func(*apiversions.ApiKeyResponse)) (offers []apiversions.ApiKeyResponse) {
		for _, n := range neededVersions() {
			offer := apiversions.ApiKeyResponse{ApiKey: int16(n.key), MinVersion: n.newest, MaxVersion: n.newest + 5}
			if n.key == protocol.Fetch {
				change(&offer)
			}
			offers = append(offers, offer)
		}
		return offers
	}
	for _, test := range []struct {
		name   string
		change func(*apiversions.ApiKeyResponse)
		want   error
		text   string
	}{
		{"at our highest version", func(*apiversions.ApiKeyResponse) {}, nil, ""},
		{"beyond it", func(o *apiversions.ApiKeyResponse) { o.MinVersion = 12 }, errTooNew,
			"Fetch: knows version 11, the broker has 12 to 16"},
		{"without it", func(o *apiversions.ApiKeyResponse) { o.ApiKey = 99 }, ErrTooOld,
			"Fetch: needs version 11, the broker has none"},
	} {
		err := compareVersions(offers(test.change))
		if !errors.Is(err, test.want) || (test.text != "" && !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%s: error %v, want %v with %q", test.name, err, test.want, test.text)
		}
	}
}

// kafka-go sends the highest version that both know: what it knows must be what the table says.
func TestNeededVersionsAreThoseOfKafkaGo(t *testing.T) {
	t.Parallel()
	for _, n := range neededVersions() {
		if got := n.key.MaxVersion(); got != 0 && got != n.newest || n.least > n.newest {
			t.Errorf("%s: kafka-go knows version %d, the table says %d to %d", n.key, got, n.least, n.newest)
		}
	}
}

// A broker that is away is waited for, and found when it comes; one that never comes is named when the context ends.
func TestCheckVersionsWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	listener.Close()
	client, log := connectLogged(t, quick(), address.String())

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = client.CheckVersions(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without a broker: %v", err)
	}

	done := make(chan error, 1)
	go func() { done <- client.CheckVersions(t.Context()) }()
	testkit.Until(t, "a warning while the broker is away", func() bool {
		return strings.Contains(log.String(), "level=WARN")
	})
	fake(t, kfake.Ports(address.Port))
	if err := <-done; err != nil {
		t.Errorf("with a broker: %v", err)
	}
}

func TestTimeoutsOfOneAttemptAreNotTheCallers(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	client := connect(t, quick(), cluster.ListenAddrs()...)
	if err := client.CheckVersions(t.Context()); err != nil {
		t.Fatal(err)
	}
	silence(cluster, 18)
	_, err := client.RoundTrip(t.Context(), new(apiversions.Request), 50*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || Classify(err) != Transient {
		t.Errorf("one attempt: %v", err)
	}
	why := errors.New("why")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	if _, err = client.RoundTrip(ctx, new(apiversions.Request), 0); !errors.Is(err, why) {
		t.Errorf("the caller's: %v", err)
	}
}
