package bus_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// consumerVariable makes the test binary a program that consumes. Its value is a consumerConfig.
const consumerVariable = "BUS_TEST_CONSUMER"

// consumerConfig is what such a program does.
type consumerConfig struct {
	Servers       []string
	Prefix, Group string
	Settings      map[string]any
	Pause         time.Duration // that a handler takes
	Batch         int           // how many records a handler takes at most; 0 = it takes single ones
}

// consume is the program: it tells on standard output of each record that its handler has had, before the handler
// returns and so before the record can be committed, and ends with standard input.
func consume(config string) error {
	var c consumerConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	for name, value := range c.Settings {
		if n, ok := value.(float64); ok {
			c.Settings[name] = int(n)
		}
	}
	app := bus.New(bus.Config{Servers: c.Servers, TopicPrefix: c.Prefix, Settings: c.Settings})
	report := func(m *bus.Message[Numbered]) error {
		// One write, shorter than PIPE_BUF: nobody reads half a line of a program that is killed.
		_, err := fmt.Printf("%d %d %d\n", m.Data.ID, m.Record.Partition, m.Record.Offset)
		return err
	}
	if c.Batch == 0 {
		bus.MustSubscribe(app, "work", func(_ context.Context, m *bus.Message[Numbered]) error {
			time.Sleep(c.Pause)
			return report(m)
		}, bus.Group(c.Group))
	} else {
		bus.MustSubscribe(app, "work", func(_ context.Context, batch []*bus.Message[Numbered]) error {
			time.Sleep(c.Pause)
			for _, m := range batch {
				if err := report(m); err != nil {
					return err
				}
			}
			return nil
		}, bus.Group(c.Group), bus.Batch(c.Batch, 10*time.Millisecond))
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err := app.Run(ctx)
	limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, app.Close(limited))
}

// consumerProcess is such a program that runs.
type consumerProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	said  strings.Builder // on standard error
	ended chan struct{}   // closed when all its reports have been taken
}

// spawnConsumer starts the program. Its reports are given to report, one at a time.
func spawnConsumer(t *testing.T, c consumerConfig, report func(id int, at chaosSpot)) *consumerProcess {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &consumerProcess{t: t, cmd: exec.Command(binary), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), consumerVariable+"="+string(config))
	p.cmd.Stderr = &p.said
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var id int
			var at chaosSpot
			if _, err := fmt.Sscan(lines.Text(), &id, &at.partition, &at.offset); err != nil {
				t.Errorf("a consumer says %q: %v", lines.Text(), err)
			}
			report(id, at)
		}
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// kill ends the program by SIGKILL, and returns when its last report has been taken.
func (p *consumerProcess) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	_ = p.cmd.Wait()
}

// stop ends the program as it should end.
func (p *consumerProcess) stop() {
	p.t.Helper()
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Error("a consumer does not end")
		p.kill()
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a consumer ended: %v\n%s", err, &p.said)
	}
}
