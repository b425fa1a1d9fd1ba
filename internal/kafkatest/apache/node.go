package apache

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// log4j makes Kafka say its warnings and errors on standard output. Without it, it says nothing.
const log4j = `rootLogger.level = WARN
rootLogger.appenderRef.out.ref = STDOUT
appender.out.type = Console
appender.out.name = STDOUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c %m%n
`

// node is one Kafka process and its directory.
type node struct {
	id      int // Kafka's node.id, from 1
	dir     string
	jars    string
	heap    string
	secured bool // clients use the SASL listener

	plainPort, saslPort, controllerPort int

	process *process // nil while it does not run
}

// process is a Java process that was started.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and was waited for
}

func (n *node) plainAddr() string { return fmt.Sprintf("127.0.0.1:%d", n.plainPort) }

func (n *node) clientAddr() string {
	if n.secured {
		return fmt.Sprintf("127.0.0.1:%d", n.saslPort)
	}
	return n.plainAddr()
}

func (n *node) logFile() string    { return filepath.Join(n.dir, "kafka.log") }
func (n *node) configFile() string { return filepath.Join(n.dir, "server.properties") }

// java returns a command that runs a class of Kafka's.
func (n *node) java(ctx context.Context, flags []string, class string, args ...string) *exec.Cmd {
	all := slices.Concat(flags, []string{"-cp", filepath.Join(n.jars, "*"), class}, args)
	return exec.CommandContext(ctx, "java", all...)
}

// format writes the node's configuration and makes its data directory, once in its life.
func (n *node) format(ctx context.Context, clusterID string, properties map[string]string, o Options) error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("apache: Apache Kafka needs Java 17 or later: install it (Debian: apt-get install "+
			"default-jre-headless): %w", err)
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("apache: creating the directory of node %d: %w", n.id, err)
	}
	for file, content := range map[string][]byte{
		n.configFile(): encode(properties),
		filepath.Join(n.dir, "log4j2.properties"): []byte(log4j),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return fmt.Errorf("apache: configuring node %d: %w", n.id, err)
		}
	}
	args := []string{"format", "-t", clusterID, "-c", n.configFile()}
	if n.secured {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, o.User, o.Password))
		}
	}
	// A short run: the optimising compiler would cost more than it saves.
	cmd := n.java(ctx, []string{"-XX:TieredStopAtLevel=1"}, "kafka.tools.StorageTool", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apache: formatting the data directory of node %d: %w\n%s", n.id, err, out)
	}
	return nil
}

// start starts the process; it is not ready yet.
func (n *node) start() error {
	if n.process != nil {
		return fmt.Errorf("apache: node %d runs already", n.id)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("apache: opening the log of node %d: %w", n.id, err)
	}
	defer log.Close() // the process has its own copy
	flags := []string{n.heap, "-Dlog4j2.configurationFile=" + filepath.Join(n.dir, "log4j2.properties")}
	// its life ends with kill, not with a context
	cmd := n.java(context.Background(), flags, "kafka.Kafka", n.configFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends a parent's death signal when the thread that started the child ends, so this one has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed: its status says nothing
		}
	}()
	if err := <-started; err != nil {
		<-p.exited
		return fmt.Errorf("apache: starting node %d: %w", n.id, err)
	}
	n.process = p
	return nil
}

// kill ends the process and waits for its end.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.cmd.Process.Kill() // it fails when the process has ended by itself
	<-n.process.exited
	n.process = nil
}

// waitReady returns when the node answers a Metadata request with at least so many brokers, itself among them. An open
// port is not enough: a broker opens it before it is registered.
func (n *node) waitReady(ctx context.Context, brokers int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %v", readyTimeout))
	defer cancel()
	for {
		ids, err := Brokers(ctx, n.plainAddr())
		if err == nil && len(ids) >= brokers && slices.Contains(ids, int32(n.id)) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-n.process.exited:
			return fmt.Errorf("apache: node %d ended while it was starting", n.id)
		case <-ctx.Done():
			return fmt.Errorf("apache: waiting for node %d: %w (it lists brokers %v, error %v)", n.id,
				context.Cause(ctx), ids, err)
		}
	}
}
