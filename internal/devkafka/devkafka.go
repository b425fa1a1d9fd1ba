// Package devkafka is the embedded development broker: a Kafka that runs inside a Go process, with nothing to
// install.
//
// It is kfake (of franz-go) behind a guard. It implements the parts of the Kafka protocol that publishing, consumer
// groups and the administration of topics need, and can keep its data in a directory between runs. Any Kafka client
// can connect to it.
//
// It is for development, examples and tests, not for production: it has no replication and no authentication, one
// goroutine serves every request, a failed fsync goes unnoticed, and another version may be unable to read its data.
// It therefore listens on loopback only, unless configured otherwise. The guard closes connections that would crash
// kfake: oversized frames, unknown requests, and too many connections.
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

// lockName is the lock file of the data directory. kfake ignores files that it does not know.
const lockName = "devkafka.lock"

// Options configure a development broker. The zero Options is one broker on a free loopback port, whose data is
// deleted by Close.
type Options struct {
	// Addr is the host:port to listen on; port 0 means any free port. Several Brokers with a port use that port and
	// the following ones. The host is also the advertised address, so clients must be able to reach it: 0.0.0.0 is
	// refused. Defaults to "127.0.0.1:0".
	Addr string

	// DataDir holds topics, records, groups and offsets; it is created if it is missing. One broker at a time may use
	// it. Defaults to a temporary directory that Close removes.
	DataDir string

	// Partitions is the number of partitions of a topic whose creator does not specify one (Kafka's num.partitions).
	// Defaults to 4.
	Partitions int

	// Brokers is the number of brokers in the cluster, all of them in this process. Defaults to 1.
	Brokers int

	// NoAutoCreate keeps a producer's metadata request from creating a topic (Kafka's
	// auto.create.topics.enable=false).
	NoAutoCreate bool

	// AllowRemote permits an Addr that other machines can reach. There is no authentication: anyone who can connect
	// can read, write and delete everything.
	AllowRemote bool

	// MaxConnections bounds the open connections of each broker; further ones are closed at once. Defaults to 1000.
	MaxConnections int

	// IdleTimeout closes a connection without a new request, or with an incomplete request that does not progress,
	// for that long (Kafka's connections.max.idle.ms). Defaults to 10m.
	IdleTimeout time.Duration

	// Logger receives kfake's warnings and errors. Defaults to none.
	Logger *slog.Logger

	// Kfake are further options of kfake, applied last, such as SASL users, ACLs and group timeouts.
	Kfake []kfake.Opt
}

// Broker is a running development broker. Its methods may be called concurrently.
type Broker struct {
	cluster *kfake.Cluster
	addrs   []string
	guards  []*guard
	lock    *filelock.Lock
	tempDir string // removed by Close; empty with a configured DataDir

	closeOnce sync.Once
	closeErr  error
}

// Start starts a development broker that accepts connections when Start returns. The caller must close it.
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
	// kfake calls listen once for each broker, in order and from one goroutine. It always names
	// 127.0.0.1, so that the address of the Options is used instead.
	listenOn := func(network, _ string) (net.Listener, error) {
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
		kfake.ListenFn(listenOn),
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

// Cluster returns the kfake cluster behind the guard, so that a test can inject faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close flushes the data, closes every connection, waits until all are closed, and unlocks the data directory or
// removes a temporary one. Responses may be cut off. Further calls return the result of the first.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.cluster.Close()
		b.closeErr = b.release()
	})
	return b.closeErr
}

// release frees everything except the kfake cluster, which must have stopped.
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

// listenOn resolves and validates Addr. It returns the host as an IP address, because clients receive it as the
// broker's address.
func (o Options) listenOn() (host string, port int, err error) {
	a, err := net.ResolveTCPAddr("tcp", o.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("devkafka: address %q: %w (want host:port)", o.Addr, err)
	}
	switch {
	case a.IP == nil || a.IP.IsUnspecified():
		return "", 0, fmt.Errorf("devkafka: address %q cannot be advertised to clients: use 127.0.0.1 or one "+
			"address of this machine", o.Addr)
	case !a.IP.IsLoopback() && !o.AllowRemote:
		return "", 0, fmt.Errorf("devkafka: address %q is not on loopback, and the development broker has no "+
			"authentication: allow remote clients explicitly if you mean it", o.Addr)
	}
	return a.IP.String(), a.Port, nil
}

// logger passes kfake's messages of level warning and above to slog.
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
