package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
)

// Health returns nil when the App is initialized and its producer delivers. While the App runs, each subscription's
// member must also have joined its group, be heard by it, read all streams that match, and be able to write its dead
// letters. Otherwise Health returns all that is wrong. After an [App.Run] that failed it returns why.
//
// It also returns what came too late to take effect: an [App.Configure], a function of [App.OnInitialize], or an
// [App.Use] or [App.OnConsumed] while the App runs.
//
// It does no I/O. So it sees that a broker is away only by what fails: the producer is unhealthy while records wait
// that could not be sent, and a member is when the group has not answered it for session_timeout_ms, 10 s by default.
// An App that only publishes, and has nothing to send, is healthy.
func (a *App) Health(context.Context) error {
	var errs []error
	for _, p := range a.problems() {
		errs = append(errs, p.Err)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// problems returns what Health does, one by one.
func (a *App) problems() []monitoring.Problem {
	if a == nil {
		return []monitoring.Problem{{Err: fmt.Errorf("bus: %w", errNilApp)}}
	}
	a.mu.Lock()
	r, failed := a.running, a.failed
	misuse, unfinished, late := a.misuse, a.unfinishedLocked(), a.late
	a.mu.Unlock()
	var all []monitoring.Problem
	add := func(group, format string, err error, args ...any) {
		if err != nil {
			all = append(all, monitoring.Problem{Group: group, Err: fmt.Errorf(format, append(args, err)...)})
		}
	}
	c := a.conn.Load()
	switch {
	case a.isClosed():
		add("", "bus: %w", ErrClosed)
		return all
	case c == nil || !a.ready.Load():
		add("", "%w", misuse)
		add("", "%w", errors.New("bus: not initialized: call Initialize, or publish once"))
		return all
	}
	add("", "%w", unfinished)
	add("", "%w", late)
	add("", "bus: producer: %w", c.producer.Health())
	add("", "bus: run: %w", failed)
	if r != nil {
		session := c.client.Settings().SessionTimeout
		for _, x := range r.runners {
			err := errors.Join(health(x.consumer.Status(), session), x.notRead(), x.blocked.Err())
			add(x.group, "bus: subscription %q of group %q: %w", err, x.patterns[0], x.group)
		}
	}
	return all
}

// health tells what is wrong with a member.
func health(s consume.Status, session time.Duration) error {
	m := s.Member
	var err error
	last := m.LastRebalance // joining is to be heard of, too
	if m.LastHeartbeat.After(last) {
		last = m.LastHeartbeat
	}
	switch silence := time.Since(last); {
	case m.State == group.Left:
		return nil // stopped, as its handler wanted
	case m.State == group.Dead:
		err = errors.New("the member has ended")
	case m.State == group.Idle, m.MemberID == "", m.LastRebalance.IsZero():
		err = errors.New("the member has not joined its group yet")
	case silence > session:
		err = fmt.Errorf("the group has not answered a heartbeat for %s", silence.Round(time.Millisecond))
	case s.Abandoned > 0:
		err = fmt.Errorf("%d handlers have not returned although their context ended", s.Abandoned)
	default:
		return nil
	}
	if m.LastError != nil {
		err = fmt.Errorf("%w: %w", err, m.LastError)
	}
	return err
}
