package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Kafka's error codes that have a remedy of their own.
const (
	codeUnsupportedMechanism kafka.CodeError = 33
	codeIllegalSASLState     kafka.CodeError = 34
)

// explain returns the problem of a failed step and its remedy.
func (d *doctor) explain(ctx context.Context, step, target string, err error) (detail, fix string) {
	var own *problem
	var advertised *advertisedError
	switch {
	case errors.As(err, &own):
		return err.Error(), own.fix
	case errors.As(err, &advertised):
		_, fix := d.explain(ctx, stepOf(advertised.err), target, advertised.err)
		return err.Error(), fmt.Sprintf("clients connect to the address that a broker advertises, not to the one they were "+
			"given: set advertised.listeners of broker %d to an address that can be reached from here, or make this one "+
			"reachable (%s)",
			advertised.broker.ID, fix)
	}
	detail = err.Error()
	if timedOut(ctx, err) {
		detail = fmt.Sprintf("no answer within %v", d.Timeout)
	}
	switch step {
	case stepDNS:
		return detail, fixOfDNS(err)
	case stepTCP:
		return detail, fixOfTCP(ctx, err)
	case stepTLS:
		return detail, fixOfTLS(ctx, err, d.Now())
	case stepVersions:
		return detail, d.fixOfVersions(ctx, target, err)
	case stepSASL:
		return detail, d.fixOfSASL(err)
	}
	return detail, "look in the broker's log for the reason"
}

// stepOf returns the step at which the connection to an advertised address failed.
func stepOf(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return stepDNS
	case errors.As(err, &op) && op.Op == "dial":
		return stepTCP
	}
	return stepTLS
}

func timedOut(ctx context.Context, err error) bool {
	var n net.Error
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout()
}

func fixOfDNS(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return "no such host: check its name in --kafka-servers, and the DNS or the hosts file of this machine"
	}
	return "the name cannot be resolved: check the network and the DNS servers of this machine"
}

func fixOfTCP(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on this port: is the broker up, and is this the port of its listener?"
	case timedOut(ctx, err):
		return "no answer to a TCP connection: check the address, firewalls and security groups between here and the broker"
	}
	return "check the address, and the network between here and the broker"
}

func fixOfTLS(ctx context.Context, err error, now time.Time) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &authority):
		signer := "an unknown authority"
		if authority.Cert != nil {
			signer = cmp.Or(authority.Cert.Issuer.String(), signer)
		}
		return "the broker's certificate is signed by " + signer + ", which is not trusted: if this is right, set " +
			"ssl_cafile to a PEM file with that authority"
	case errors.As(err, &host):
		return "the broker's certificate is for " + names(host.Certificate) +
			": connect by one of these names, or have the certificate name this host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return "the certificate is valid from " + invalid.Cert.NotBefore.Format(time.DateTime) +
			" on: is the clock of this machine right?"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate was valid until " + invalid.Cert.NotAfter.Format(time.DateTime) +
			": renew it, or is the clock of this machine wrong?"
	case errors.As(err, &noTLS):
		return "the listener speaks no TLS: set security_protocol to PLAINTEXT or SASL_PLAINTEXT, or use the port of a TLS " +
			"listener"
	case errors.As(err, &alert):
		return "the broker refuses this client: does it want a certificate (ssl_certfile and ssl_keyfile), or another " +
			"version of TLS?"
	case timedOut(ctx, err):
		return "the port takes connections and never answers: is it a TLS listener of a broker, and does the broker hang?"
	}
	return "the connection ended during the TLS handshake: is this a TLS listener? A listener without TLS wants " +
		"security_protocol PLAINTEXT or SASL_PLAINTEXT"
}

// name returns the subject of a certificate.
func name(c *x509.Certificate) string {
	return cmp.Or(c.Subject.CommonName, names(c))
}

func names(c *x509.Certificate) string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	return strings.Join(all, ", ")
}

func (d *doctor) fixOfVersions(ctx context.Context, target string, err error) string {
	// The step's own time may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(d.Timeout, time.Second))
	defer cancel()
	var notKafka *kafka.NotKafkaError
	switch {
	case errors.Is(err, kafka.ErrTooOld):
		return "use Kafka 2.5 or later"
	case !d.probe.UsesTLS() && d.probe.SpeaksTLS(ctx, target):
		return "the listener speaks TLS: set security_protocol to SSL or SASL_SSL, or use the port of a listener without TLS"
	case errors.As(err, &notKafka):
		return "this is the port of another program than Kafka: check the port"
	case timedOut(ctx, err):
		return "the port takes connections and never answers: is it a listener of a broker, and does the broker hang?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection was closed without an answer: is this Kafka's listener for clients?"
	}
	return "the answer is not Kafka's: check which program listens there, and its version"
}

func (d *doctor) fixOfSASL(err error) string {
	protocol := d.Settings.SecurityProtocol
	switch {
	case errors.Is(err, codeUnsupportedMechanism):
		return "the listener does not offer " + d.Settings.SASLMechanism + ": set sasl_mechanism to one of its " +
			"sasl.enabled.mechanisms"
	case errors.Is(err, codeIllegalSASLState):
		return "the listener does not want SASL: security_protocol is " + protocol + ", and the listener's has no SASL in it"
	case errors.Is(err, kafka.ErrAuth):
		return "check sasl_mechanism, sasl_plain_username and sasl_plain_password; with SCRAM the user has to have a " +
			"credential of that mechanism"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker closed the connection during the login: some do so when they refuse it; check user, password " +
			"and sasl_mechanism"
	}
	return "look into the broker's log: the login ended early"
}
