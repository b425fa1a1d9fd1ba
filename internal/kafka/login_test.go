package kafka

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whoever calls in a loop gets the refusal each time, and the broker sees no login for five seconds: more of them lock
// accounts.
func TestARefusedLoginIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ mechanism, user string }{{MechanismPlain, "ada"}, {MechanismScramSHA512, "eve"}} {
		t.Run(test.mechanism, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", canary),
				kfake.Superuser("SCRAM-SHA-512", "eve", canary))
			var refusing atomic.Bool
			var logins atomic.Int64
			refusing.Store(true)
			cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if !refusing.Load() {
					return nil, nil, false
				}
				logins.Add(1)
				response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				response.ErrorCode = 58
				return response, nil, true
			})
			s := quick()
			s.SecurityProtocol, s.SASLMechanism, s.SASLUsername, s.SASLPassword = SASLPlaintext, test.mechanism, test.user,
				NewSecret(canary)
			client := connect(t, s, cluster.ListenAddrs()...)
			for i := range 50 {
				_, err := client.RoundTrip(t.Context(), new(apiversions.Request), 0)
				if !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "check sasl_mechanism") {
					t.Fatalf("attempt %d: %v", i, err)
				}
				if i > 0 && !strings.Contains(err.Error(), "not tried again") {
					t.Fatalf("attempt %d does not say that it was none: %v", i, err)
				}
			}
			// kafka-go's own connection, for metadata, and the request's: the first refusal is not told to the second.
			if n := logins.Load(); n > 2 {
				t.Errorf("%d logins", n)
			}
			// The password is mended: the pause is over soon (here at once), and with it the refusal.
			refusing.Store(false)
			client.login.mu.Lock()
			client.login.until = time.Now()
			client.login.mu.Unlock()
			if _, err := client.RoundTrip(t.Context(), new(apiversions.Request), 0); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		})
	}
}
