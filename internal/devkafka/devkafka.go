// Package devkafka is the embedded development broker: a Kafka that runs inside a Go process, with nothing to install.
//
// It is kfake (of franz-go) behind a guard. It speaks the Kafka protocol well enough to publish, to consume in a group,
// to administer topics and to keep all of it in a data directory between runs, and any Kafka client can connect to it.
//
// It is for development, for examples and for tests. It is not for production: there is no replication and no
// authentication, one goroutine serves every request, a failed fsync goes unnoticed, and no promise is made that data
// written by this version can be read by the next. It therefore listens on loopback only, unless told otherwise, and
// the guard closes connections that would take kfake down: frames of an absurd size, unknown requests, too many of
// them.
package devkafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
	"github.com/kafkaesk/kafkaesk/internal/privatedir"
)

// lockName is the file in the data directory that says a broker is using it. kfake ignores files it does not know.
const lockName = "devkafka.lock"

// Options says how a development broker runs. The zero Options is a broker of one node on a free loopback port, whose
// data is gone when it is closed.
type Options struct {
	// Addr is the host:port to listen on; port 0 takes a free one. With several Brokers and a port, they take that port
	// and the ones after it. The host is also the address that clients are told to connect to, so it must be one that they
	// can reach: 0.0.0.0 is refused. Defaults to "127.0.0.1:0".
	Addr string

	// DataDir is where topics, records, groups and offsets are kept; it is created if need be. One broker at a time may
	// use it. Defaults to a temporary directory that Close removes.
	DataDir string

	// Partitions is how many partitions a topic gets when whoever creates it does not say (Kafka's num.partitions).
	// Defaults to 4.
	Partitions int

	// Brokers is the number of brokers in the cluster, all of them in this process. Defaults to 1.
	Brokers int

	// NoAutoCreate refuses to create a topic because a producer asked for its metadata (Kafka's auto.create.topics.enable
	// set to false).
	NoAutoCreate bool

	// AllowRemote permits an Addr that other machines can reach. There is no authentication: whoever can connect can read,
	// write and delete everything.
	AllowRemote bool

	// MaxConnections is how many connections may be open on one broker; more are closed at once. Defaults to 1000.
	MaxConnections int

	// IdleTimeout closes a connection on which no request begins, or a request that began does not go on, for that long
	// (Kafka's connections.max.idle.ms). Defaults to 10m.
	IdleTimeout time.Duration

	// Logger gets kfake's warnings and errors. Defaults to none.
	Logger *slog.Logger

	// Kfake are further options for kfake, applied last: SASL users, ACLs, group timeouts and what else a test needs.
	Kfake []kfake.Opt
}

// Broker is a development broker that runs. Its methods may be called by several goroutines.
type Broker struct {
	cluster *kfake.Cluster
	addrs   []string
	guards  []*guard
	lock    *filelock.Lock
	tempDir string // removed by Close; empty when the caller gave a DataDir

	closeOnce sync.Once
	closeErr  error
}

// Start starts a development broker; it accepts connections when Start returns. The caller closes it.
func Start(o Options) (*Broker, error) {
	o = o.withDefaults()
	host, port, err := o.listenOn()
	if err != nil {
		return nil, err
	}
	b := &Broker{}
	if o.DataDir == "" {
		if b.tempDir, err = os.MkdirTemp("", "kafkaesk-devkafka-"); err != nil {
			return nil, fmt.Errorf("devkafka: creating a temporary data directory: %w", err)
		}
		o.DataDir = b.tempDir
	}
	if err := b.start(o, host, port); err != nil {
		return nil, errors.Join(err, b.release())
	}
	return b, nil
}

func (b *Broker) start(o Options, host string, port int) (err error) {
	if err := privatedir.Make(o.DataDir); err != nil {
		return fmt.Errorf("devkafka: preparing the data directory: %w", err)
	}
	b.lock, err = filelock.Try(filepath.Join(o.DataDir, lockName))
	if errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("devkafka: another broker is using the data directory %s: stop it, or choose another directory",
			o.DataDir)
	}
	if err != nil {
		return fmt.Errorf("devkafka: locking the data directory: %w", err)
	}
	// kfake calls this once per broker, in order and from one goroutine, and always names 127.0.0.1: the address is ours.
	listen := func(network, _ string) (net.Listener, error) {
		p := port
		if p != 0 {
			p += len(b.guards)
		}
		ln, err := net.Listen(network, net.JoinHostPort(host, strconv.Itoa(p)))
		if err != nil {
			return nil, err
		}
		g := newGuard(ln, o.MaxConnections, o.IdleTimeout)
		b.guards = append(b.guards, g)
		b.addrs = append(b.addrs, ln.Addr().String())
		return g, nil
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(o.Brokers),
		kfake.DefaultNumPartitions(o.Partitions),
		kfake.DataDir(o.DataDir),
		kfake.ListenFn(listen),
		kfake.ClusterID("kafkaesk-development"),
		kfake.WithLogger(logger{o.Logger}),
	}
	if !o.NoAutoCreate {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	b.cluster, err = kfake.NewCluster(append(opts, o.Kfake...)...)
	if err != nil {
		return fmt.Errorf("devkafka: starting on %s with data in %s: %w", o.Addr, o.DataDir, err)
	}
	return nil
}

// Addrs returns the host:port of every broker, in the order of their ids.
func (b *Broker) Addrs() []string { return append([]string(nil), b.addrs...) }

// Cluster returns the kfake cluster behind the guard, with which a test injects faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close writes what is to be kept, closes every connection, waits until they are closed and gives the data directory
// free, or removes it if it was temporary. Requests that are being answered may be cut off. Further calls return what
// the first one returned.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.cluster.Close()
		b.closeErr = b.release()
	})
	return b.closeErr
}

// release gives back everything but the kfake cluster, which must not run any more.
func (b *Broker) release() error {
	var errs []error
	for _, g := range b.guards {
		g.shutdown()
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Unlock())
	}
	if b.tempDir != "" {
		errs = append(errs, os.RemoveAll(b.tempDir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("devkafka: closing: %w", err)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Partitions <= 0 {
		o.Partitions = 4
	}
	if o.Brokers <= 0 {
		o.Brokers = 1
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 1000
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 10 * time.Minute
	}
	return o
}

// listenOn resolves and judges Addr. The host comes back as an IP address, because it is what clients will be sent to.
func (o Options) listenOn() (host string, port int, err error) {
	a, err := net.ResolveTCPAddr("tcp", o.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("devkafka: address %q: %w (want host:port)", o.Addr, err)
	}
	switch {
	case a.IP == nil || a.IP.IsUnspecified():
		return "", 0, fmt.Errorf("devkafka: address %q names no host that clients could be sent to: use 127.0.0.1 or one "+
			"address of this machine", o.Addr)
	case !a.IP.IsLoopback() && !o.AllowRemote:
		return "", 0, fmt.Errorf("devkafka: address %q is not on loopback, and the development broker has no "+
			"authentication: allow remote clients explicitly if you mean it", o.Addr)
	}
	return a.IP.String(), a.Port, nil
}

// logger sends what kfake says at warning level and above to slog.
type logger struct{ to *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.to == nil || level > kfake.LogLevelWarn {
		return
	}
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if level == kfake.LogLevelWarn {
		l.to.Warn(text)
		return
	}
	l.to.Error(text)
}
