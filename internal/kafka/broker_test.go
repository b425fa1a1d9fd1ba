package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// The tests of this file run on whichever Kafka the environment names; the others of the package are about faults that
// only an embedded one can be told to have.

func TestBrokerFromTheFirstRequestToOffsets(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			cluster := kafkatest.Start(t, kafkatest.Nodes(nodes))
			client := connect(t, quick(), cluster.Servers()...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := client.CheckVersions(ctx); err != nil {
				t.Fatal(err)
			}
			name := cluster.Prefix(t) + "topic"
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if err := client.EnsureTopic(ctx, name, TopicSpec{Retention: time.Hour}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			snapshot, err := client.AllTopics(ctx)
			if err != nil {
				t.Fatal(err)
			}
			topic := snapshot.Topics[name]
			if len(snapshot.Brokers) != nodes || topic == nil || topic.led() != 7 {
				t.Fatalf("brokers %v, topic %+v", snapshot.Brokers, topic)
			}
			parts := []TopicPartition{{name, 7}, {name + "x", 0}} // not there
			for p := range topic.Leaders {
				parts = append(parts, TopicPartition{name, int32(p)})
			}
			for at, want := range map[int64]int64{FirstOffset: 0, EndOffset: 0, time.Now().UnixMilli(): -1} {
				got, err := client.ListOffsets(ctx, parts, at)
				if err != nil || len(got) != 7 || got[TopicPartition{name, 3}] != want {
					t.Errorf("offsets at %d: %v, %v", at, got, err)
				}
			}
		})
	}
}

func TestBrokerLogin(t *testing.T) {
	const user = "ada"
	cluster := kafkatest.Start(t, kafkatest.SASL(user, canary))
	for _, mechanism := range []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			s := quick()
			s.SecurityProtocol, s.SASLMechanism, s.SASLUsername, s.SASLPassword = SASLPlaintext, mechanism, user,
				NewSecret(canary)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := connect(t, s, cluster.Servers()...).CheckVersions(ctx); err != nil {
				t.Errorf("right password: %v", err)
			}
			if !cluster.IsReal() {
				return // kfake closes the connection instead of refusing the login
			}
			s.SASLPassword = NewSecret("wrong-" + canary)
			err := connect(t, s, cluster.Servers()...).CheckVersions(ctx)
			if !errors.Is(err, ErrAuth) {
				t.Errorf("wrong password: %v", err)
			} else {
				refuse(t, "the error", err.Error())
			}
		})
	}
	t.Run(MechanismOAuthBearer, func(t *testing.T) {
		if !cluster.IsReal() {
			t.Skip("the embedded broker takes no tokens: run with KAFKA=apache")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for name, expires := range map[string]time.Time{"good": time.Now().Add(time.Hour),
			"expired": time.Now().Add(-time.Hour)} {
			s := secured(t, Security{SASL: &SASL{Mechanism: MechanismOAuthBearer, Token: func(context.Context) (Token, error) {
				return unsecuredToken(user, expires), nil
			}}}, map[string]any{"security_protocol": SASLPlaintext})
			err := connect(t, s, cluster.Servers()...).CheckVersions(ctx)
			switch {
			case name == "good" && err != nil:
				t.Errorf("a good token: %v", err)
			case name == "expired" && !errors.Is(err, ErrAuth):
				t.Errorf("an expired token: %v", err)
			}
		}
	})
}

// unsecuredToken is a token without a signature (RFC 7515, appendix A.5), which Kafka takes for tests.
func unsecuredToken(user string, expires time.Time) Token {
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, user, expires.Add(-2*time.Hour).Unix(), expires.Unix())
	encode := base64.RawURLEncoding.EncodeToString
	return Token{Value: NewSecret(encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims)) + ".")}
}

// A broker is killed and comes back: whoever retries gets through, and what the pool held does not get in the way.
func TestBrokerRestart(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Own())
	if !cluster.CanKill() {
		t.Skip("this Kafka is not ours to kill: run with KAFKA=apache or without KAFKA")
	}
	client := connect(t, quick(), cluster.Servers()...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	name := cluster.Prefix(t) + "topic"
	if err := client.EnsureTopic(ctx, name, TopicSpec{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cluster.Kill(0)
		var wg sync.WaitGroup
		for p := range int32(7) {
			wg.Go(func() {
				if got, err := client.ListOffsets(ctx, []TopicPartition{{name, p}}, EndOffset); err != nil || len(got) != 1 {
					t.Errorf("offsets: %v, %v", got, err)
				}
			})
		}
		wg.Go(func() {
			if err := client.EnsureTopic(ctx, name+"2", TopicSpec{}); err != nil {
				t.Error(err)
			}
		})
		cluster.Restart(0)
		wg.Wait()
	}
}
