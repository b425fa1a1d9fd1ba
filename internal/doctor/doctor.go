// Package doctor finds out why a Kafka cannot be used from here: it goes through what a connection needs, one step
// after another, times each, and says what is wrong and how to mend it. It writes nothing to the cluster.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// The steps, in their order.
const (
	stepDNS        = "dns"
	stepTCP        = "tcp"
	stepTLS        = "tls"
	stepVersions   = "versions"
	stepSASL       = "sasl"
	stepAdvertised = "advertised"
	stepACL        = "acl"
	stepClock      = "clock"
)

// Status of a step.
const (
	OK      = "ok"
	Failed  = "failed"
	Skipped = "skipped" // it cannot be told, or depends on a step that failed
)

// Result is what one step has found.
type Result struct {
	Step string `json:"step"`
	// Target is what was looked at: an address, a topic, a group.
	Target string  `json:"target"`
	Status string  `json:"status"`
	Millis float64 `json:"duration_ms"`
	// Detail is what was found, or what is wrong.
	Detail string `json:"detail"`
	// Fix says how to mend it; "" where nothing is wrong.
	Fix string `json:"fix"`
}

// Need is what an application does with a stream.
type Need struct {
	Stream           string
	Publish, Consume bool
}

// Options are what to look at. Servers and Settings are needed.
type Options struct {
	Servers  []string
	Settings kafka.Settings
	Prefix   string // of the topics
	// Needs and Groups are streams and consumer groups that the user has to have the rights for. Without both, the topics
	// that the user may see are counted.
	Needs  []Need
	Groups []string
	// Timeout of each step. Defaults to 5s.
	Timeout time.Duration
	// Now is the clock that is compared with the brokers'. Defaults to time.Now.
	Now func() time.Time
}

// doctor is one examination.
type doctor struct {
	Options
	probe  *kafka.Probe
	report func(Result)
	failed bool
	// refused: the brokers have refused the login. It is not tried again: accounts get locked.
	refused bool
	reached []string // servers that passed
}

// Run goes through the steps, and reports each result as it comes. It returns whether all is well; its error is of the
// settings alone.
func Run(ctx context.Context, o Options, report func(Result)) (healthy bool, err error) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	probe, err := kafka.NewProbe(o.Settings)
	if err != nil {
		return false, err
	}
	d := &doctor{Options: o, probe: probe, report: report}
	var first *kafka.ProbeConn
	for _, server := range o.Servers {
		conn := d.server(ctx, server)
		if conn != nil && first == nil {
			first = conn
			defer conn.Close()
		} else if conn != nil {
			conn.Close()
		}
	}
	if first != nil && ctx.Err() == nil {
		d.cluster(ctx, first)
	}
	return !d.failed, context.Cause(ctx)
}

// step does one step within its time, and reports it.
func (d *doctor) step(ctx context.Context, step, target string, do func(context.Context) (string, error)) bool {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	begin := time.Now()
	detail, err := do(ctx)
	r := Result{Step: step, Target: target, Status: OK, Detail: detail, Millis: milliseconds(time.Since(begin))}
	var cannot *skip
	switch {
	case errors.As(err, &cannot):
		r.Status, r.Detail, r.Fix = Skipped, cannot.reason, cannot.fix
	case err != nil:
		d.failed = true
		r.Status = Failed
		r.Detail, r.Fix = d.explain(ctx, step, target, err)
	}
	d.report(r)
	return r.Status == OK
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// skip is the error of a step that can tell nothing.
type skip struct{ reason, fix string }

func (s *skip) Error() string { return s.reason }

// problem is an error that knows how to mend itself.
type problem struct {
	error
	fix string
}

func (p *problem) Unwrap() error { return p.error }

// server goes through the steps of one configured server, and returns its connection; nil when a step has failed.
func (d *doctor) server(ctx context.Context, server string) *kafka.ProbeConn {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		host = server
	}
	if net.ParseIP(host) == nil && !d.step(ctx, stepDNS, host, func(ctx context.Context) (string, error) {
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		return strings.Join(addresses, ", "), err
	}) {
		return nil
	}
	var conn *kafka.ProbeConn
	ok := d.step(ctx, stepTCP, server, func(ctx context.Context) (detail string, err error) {
		if conn, err = d.probe.Dial(ctx, server); err != nil {
			return "", err
		}
		return "connected to " + conn.RemoteAddr().String(), nil
	})
	if !ok {
		return nil
	}
	if !d.talk(ctx, conn, server, host) {
		conn.Close()
		return nil
	}
	d.reached = append(d.reached, server)
	return conn
}

// talk goes through the steps of a connection behind TCP.
func (d *doctor) talk(ctx context.Context, conn *kafka.ProbeConn, server, host string) bool {
	if d.probe.UsesTLS() && !d.step(ctx, stepTLS, server, func(ctx context.Context) (string, error) {
		return d.secure(ctx, conn, host)
	}) {
		return false
	}
	if !d.step(ctx, stepVersions, server, func(ctx context.Context) (string, error) {
		return "the broker knows the requests that kafkaesk sends", conn.Versions(ctx)
	}) {
		return false
	}
	return !d.probe.UsesSASL() || d.step(ctx, stepSASL, server, func(ctx context.Context) (string, error) {
		if d.refused {
			return "", &skip{reason: "the login was refused by another server",
				fix: "see there: a second wrong login may lock the account"}
		}
		if err := conn.Login(ctx); err != nil {
			d.refused = errors.Is(err, kafka.ErrAuth)
			return "", err
		}
		return "logged in by " + d.Settings.SASLMechanism + d.asUser(), nil
	})
}

func (d *doctor) asUser() string {
	if d.Settings.SASLUsername == "" {
		return ""
	}
	return " as " + d.Settings.SASLUsername
}

// expirySoon is how long before the end of a certificate's time it is said.
const expirySoon = 14 * 24 * time.Hour

func (d *doctor) secure(ctx context.Context, conn *kafka.ProbeConn, host string) (string, error) {
	state, err := conn.Secure(ctx, host)
	if err != nil {
		return "", err
	}
	certificate := state.PeerCertificates[0]
	left := certificate.NotAfter.Sub(d.Now())
	detail := fmt.Sprintf("certificate of %s, valid until %s", name(certificate),
		certificate.NotAfter.Format(time.DateOnly))
	if left < expirySoon {
		return "", &problem{fmt.Errorf("%s, which is in %s", detail, left.Round(time.Hour)), "renew the broker's certificate"}
	}
	return detail, nil
}

// cluster goes through the steps that need one broker to talk to.
func (d *doctor) cluster(ctx context.Context, conn *kafka.ProbeConn) {
	var seen *kafka.Permissions
	var topics []string // nil: all that the user may see
	for _, n := range d.Needs {
		topics = append(topics, d.Prefix+n.Stream)
	}
	if !d.step(ctx, stepAdvertised, d.reached[0], func(ctx context.Context) (detail string, err error) {
		if seen, err = conn.Permissions(ctx, topics); err != nil {
			return "", err
		}
		addresses := make([]string, len(seen.Brokers))
		for i, b := range seen.Brokers {
			addresses[i] = b.Address()
		}
		return "brokers of the cluster: " + strings.Join(addresses, ", "), nil
	}) {
		return
	}
	for _, b := range seen.Brokers {
		if !slices.Contains(d.reached, b.Address()) {
			d.step(ctx, stepAdvertised, b.Address(), func(ctx context.Context) (string, error) { return d.advertised(ctx, b) })
		}
	}
	d.permissions(ctx, conn, seen)
	d.step(ctx, stepClock, d.reached[0], func(ctx context.Context) (string, error) { return d.clock(ctx, conn) })
}

// advertised connects to a broker by the address that the cluster gives for it.
func (d *doctor) advertised(ctx context.Context, b kafka.Broker) (string, error) {
	conn, err := d.probe.Dial(ctx, b.Address())
	if err != nil {
		return "", &advertisedError{b, err}
	}
	defer conn.Close()
	if d.probe.UsesTLS() {
		if _, err := d.secure(ctx, conn, b.Host); err != nil {
			return "", &advertisedError{b, err}
		}
	}
	return fmt.Sprintf("broker %d can be reached by the address that it advertises", b.ID), nil
}

type advertisedError struct {
	broker kafka.Broker
	err    error
}

func (e *advertisedError) Error() string {
	return fmt.Sprintf("broker %d advertises %s: %v", e.broker.ID, e.broker.Address(), e.err)
}

func (e *advertisedError) Unwrap() error { return e.err }

// clockLimit is how far two clocks may be apart. Ages, lags and the delays of retry streams are wrong by the
// difference.
const clockLimit = 5 * time.Second

func (d *doctor) clock(ctx context.Context, conn *kafka.ProbeConn) (string, error) {
	ahead, within, err := conn.Clock(ctx, d.Now)
	switch {
	case errors.Is(err, kafka.ErrAuth):
		return "", &skip{"the brokers tell their time only to users with Describe on the cluster", ""}
	case errors.Is(err, kafka.ErrNoClock):
		return "", &skip{err.Error() + ": Kafka 3.3 or later does, without ZooKeeper", ""}
	case err != nil:
		return "", err
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	detail := fmt.Sprintf("the brokers' clock is %v %s this machine's, give or take %v",
		ahead.Abs().Round(time.Millisecond), direction,
		within.Round(time.Millisecond))
	if ahead.Abs()-within > clockLimit {
		return "", &problem{errors.New(detail), "set both clocks by NTP: ages, lags in time and the delays of retry " +
			"streams are wrong by the difference, and brokers refuse records that lie too far ahead of their clock"}
	}
	return detail, nil
}
