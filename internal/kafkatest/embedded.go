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
	// Tests of sessions that expire cannot wait for Kafka's six seconds.
	opts := []kfake.Opt{kfake.GroupMinSessionTimeout(100 * time.Millisecond)}
	if r.user != "" {
		opts = append(opts, kfake.EnableSASL())
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			opts = append(opts, kfake.Superuser(mechanism, r.user, r.password))
		}
	}
	e := &embedded{dir: dir, options: devkafka.Options{DataDir: dir, Brokers: r.nodes, Kfake: append(opts, r.kfake...)}}
	if err := e.begin(r.nodes); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	e.addrs = e.broker.Addrs()
	return e, nil
}

// begin starts the broker. One that may be killed gets a port that nobody is given meanwhile; another test binary may
// be as fast to take a port that was free, so a taken one is no failure yet.
func (e *embedded) begin(nodes int) (err error) {
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

// embedded is a development broker. It is used by one test at a time where it is killed and restarted, so nothing is
// locked.
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

// canKill is for one broker only: kfake's brokers are one cluster in one process, and go together.
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
