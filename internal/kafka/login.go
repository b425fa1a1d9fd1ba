package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// loginPause is how long no login is sent after one was refused: every request may need a connection, and directories
// lock accounts after a few wrong passwords.
const loginPause = 5 * time.Second

// login is the SASL mechanism of one Client. Connections that are open go on while it pauses.
type login struct {
	sasl.Mechanism

	mu      sync.Mutex
	refusal error
	until   time.Time // no login before
}

// errLoginPause is in the error of a login that was not sent.
var errLoginPause = errors.New("the login was refused and is not tried again yet")

// Start implements sasl.Mechanism. It fails with the last refusal while the pause lasts.
func (l *login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	l.mu.Lock()
	refusal, pause := l.refusal, time.Until(l.until)
	l.mu.Unlock()
	if pause > 0 {
		return nil, nil, fmt.Errorf("%w (for %s): %w", errLoginPause, pause.Round(100*time.Millisecond), refusal)
	}
	return l.Mechanism.Start(ctx)
}

// recordError begins a pause if err says that a broker has refused the login. l is nil where nobody logs in.
func (l *login) recordError(err error) {
	if l == nil || !errors.Is(err, kafkago.SASLAuthenticationFailed) || errors.Is(err, errLoginPause) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusal, l.until = err, time.Now().Add(loginPause)
}
