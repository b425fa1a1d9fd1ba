// Package doctor finds out why this machine cannot use a Kafka. It performs the steps of a connection one after
// another, measures each, and reports what is wrong and how to fix it. It writes nothing to the cluster.
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

// The steps in the order in which they run.
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

// The status of a step.
const (
	OK      = "ok"
	Failed  = "failed"
	Skipped = "skipped" // the answer is unknown, or an earlier step has failed
)

// Result is the result of one step.
type Result struct {
	Step string `json:"step"`
	// Target is the object of the step: an address, a topic or a group.
	Target string  `json:"target"`
	Status string  `json:"status"`
	Millis float64 `json:"duration_ms"`
	// Detail is the finding, or the problem.
	Detail string `json:"detail"`
	// Fix is the remedy; "" without a problem.
	Fix string `json:"fix"`
}

// Need is how an application uses a stream.
type Need struct {
	Stream           string
	Publish, Consume bool
}

// Options configure a run. Servers and Settings are required.
type Options struct {
	Servers  []string
	Settings kafka.Settings
	Prefix   string // of the topics
	// Needs and Groups are the streams and consumer groups that the user needs rights on. Without both, the visible
	// topics are counted.
	Needs  []Need
	Groups []string
	// Timeout bounds each step. Defaults to 5s.
	Timeout time.Duration
	// Now returns the time that is compared with the brokers' clocks. Defaults to time.Now.
	Now func() time.Time
}

// doctor is the state of one run.
type doctor struct {
	Options
	probe  *kafka.Probe
	report func(Result)
	failed bool
	// refused reports that a broker has refused the login. The doctor does not try it again, because accounts get
	// locked.
	refused bool
	reached []string // servers whose steps all passed
}

// Run performs the steps and reports each result at once. It returns whether all steps passed. An error means invalid
// settings.
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

// step performs and reports one step, bounded by the timeout.
func (d *doctor) step(ctx context.Context, step, target string, do func(context.Context) (string, error)) bool {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	start := time.Now()
	detail, err := do(ctx)
	r := Result{Step: step, Target: target, Status: OK, Detail: detail, Millis: milliseconds(time.Since(start))}
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

// skip is the error of a step without a finding.
type skip struct{ reason, fix string }

func (s *skip) Error() string { return s.reason }

// problem is an error with its remedy.
type problem struct {
	error
	fix string
}

func (p *problem) Unwrap() error { return p.error }

// server performs the steps of one configured server and returns its connection; nil when a step has failed.
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

// talk performs the steps that follow the TCP connection.
func (d *doctor) talk(ctx context.Context, conn *kafka.ProbeConn, server, host string) bool {
	if d.probe.UsesTLS() && !d.step(ctx, stepTLS, server, func(ctx context.Context) (string, error) {
		return d.secure(ctx, conn, host)
	}) {
		return false
	}
	if !d.step(ctx, stepVersions, server, func(ctx context.Context) (string, error) {
		return "the broker supports the requests that kafkaesk sends", conn.Versions(ctx)
	}) {
		return false
	}
	return !d.probe.UsesSASL() || d.step(ctx, stepSASL, server, func(ctx context.Context) (string, error) {
		if d.refused {
			return "", &skip{reason: "another server refused the login",
				fix: "fix that first: a second wrong login may lock the account"}
		}
		if err := conn.Login(ctx); err != nil {
			d.refused = errors.Is(err, kafka.ErrAuth)
			return "", err
		}
		return "logged in with " + d.Settings.SASLMechanism + d.asUser(), nil
	})
}

func (d *doctor) asUser() string {
	if d.Settings.SASLUsername == "" {
		return ""
	}
	return " as " + d.Settings.SASLUsername
}

// expirySoon is how long before its expiry a certificate is reported.
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
		return "", &problem{fmt.Errorf("%s: it expires in %s", detail, left.Round(time.Hour)),
			"renew the broker's certificate"}
	}
	return detail, nil
}

// cluster performs the steps that need a working connection to one broker.
func (d *doctor) cluster(ctx context.Context, conn *kafka.ProbeConn) {
	var seen *kafka.Permissions
	var topics []string // nil: all topics that the user may see
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

// advertised connects to a broker by its advertised address.
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
	return fmt.Sprintf("broker %d can be reached at its advertised address", b.ID), nil
}

type advertisedError struct {
	broker kafka.Broker
	err    error
}

func (e *advertisedError) Error() string {
	return fmt.Sprintf("broker %d advertises %s: %v", e.broker.ID, e.broker.Address(), e.err)
}

func (e *advertisedError) Unwrap() error { return e.err }

// clockLimit is the largest tolerated difference of two clocks. Ages, lags and the delays of retry streams are wrong
// by this difference.
const clockLimit = 5 * time.Second

func (d *doctor) clock(ctx context.Context, conn *kafka.ProbeConn) (string, error) {
	ahead, within, err := conn.Clock(ctx, d.Now)
	switch {
	case errors.Is(err, kafka.ErrAuth):
		return "", &skip{"brokers report their time only to users with Describe on the cluster", ""}
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
			"streams are wrong by the difference, and brokers refuse records whose time is too far in their future"}
	}
	return detail, nil
}
