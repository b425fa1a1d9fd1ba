package kafkatest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/internal/devkafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

// embeddedProvider runs the development broker in the test process.
type embeddedProvider struct{}

func (embeddedProvider) cannot(r request) string {
	if len(r.props) > 0 {
		return "needs broker properties of a real Kafka: run with KAFKA=apache"
	}
	return ""
}

func (embeddedProvider) start(r request) (backend, error) {
	dir, err := os.MkdirTemp("", "kafkatest-")
	if err != nil {
		return nil, err
	}
	// Tests of expired sessions cannot wait for Kafka's minimum of six seconds.
	opts := []kfake.Opt{kfake.GroupMinSessionTimeout(100 * time.Millisecond)}
	if r.user != "" {
		opts = append(opts, kfake.EnableSASL())
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			opts = append(opts, kfake.Superuser(mechanism, r.user, r.password))
		}
	}
	e := &embedded{dir: dir, options: devkafka.Options{DataDir: dir, Brokers: r.nodes, Kfake: append(opts, r.kfake...)}}
	if err := e.start(r.nodes); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	e.addrs = e.broker.Addrs()
	return e, nil
}

// start starts the broker. A broker that may be killed needs a port that no other process gets meanwhile. Another
// test binary may win the race for a free port, so start tries again when the port is in use.
func (e *embedded) start(nodes int) (err error) {
	const tries = 5
	for range tries {
		if nodes == 1 {
			ports, err := apache.FreePorts(1)
			if err != nil {
				return err
			}
			e.options.Addr = fmt.Sprintf("127.0.0.1:%d", ports[0])
		}
		if e.broker, err = devkafka.Start(e.options); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

// embedded is a development broker. Only one test at a time uses a broker that is killed and restarted, so it needs
// no lock.
type embedded struct {
	options devkafka.Options
	dir     string
	addrs   []string
	broker  *devkafka.Broker
}

func (e *embedded) servers() []string    { return e.addrs }
func (e *embedded) real() bool           { return false }
func (e *embedded) fake() *kfake.Cluster { return e.broker.Cluster() }
func (e *embedded) log() string          { return "" }

// canKill requires a single broker: all brokers of a kfake cluster stop together.
func (e *embedded) canKill() bool { return e.options.Brokers == 1 }

func (e *embedded) kill(int) error { return e.broker.Close() }

func (e *embedded) restart(int) error {
	b, err := devkafka.Start(e.options)
	if err != nil {
		return err
	}
	e.broker = b
	return nil
}

func (e *embedded) stop() error {
	err := e.broker.Close()
	if rmErr := os.RemoveAll(e.dir); err == nil {
		err = rmErr
	}
	return err
}
