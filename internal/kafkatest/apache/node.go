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

// log4j makes Kafka write warnings and errors to standard output. Without it Kafka logs nothing.
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
	secured bool // the client listener uses SASL

	plainPort, saslPort, controllerPort int

	process *process // nil while it does not run
}

// process is a started Java process.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed after Wait has returned
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

// java returns a command that runs one of Kafka's classes.
func (n *node) java(ctx context.Context, flags []string, class string, args ...string) *exec.Cmd {
	all := slices.Concat(flags, []string{"-cp", filepath.Join(n.jars, "*"), class}, args)
	return exec.CommandContext(ctx, "java", all...)
}

// format writes the node's configuration and formats its data directory. It is called once for each node.
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
	// For a short run the optimizing compiler costs more than it saves.
	cmd := n.java(ctx, []string{"-XX:TieredStopAtLevel=1"}, "kafka.tools.StorageTool", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apache: formatting the data directory of node %d: %w\n%s", n.id, err, out)
	}
	return nil
}

// start starts the process and does not wait until it is ready.
func (n *node) start() error {
	if n.process != nil {
		return fmt.Errorf("apache: node %d is already running", n.id)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("apache: opening the log of node %d: %w", n.id, err)
	}
	defer log.Close() // the process has a duplicate of the descriptor
	flags := []string{n.heap, "-Dlog4j2.configurationFile=" + filepath.Join(n.dir, "log4j2.properties")}
	// kill ends the process; no context does.
	cmd := n.java(context.Background(), flags, "kafka.Kafka", n.configFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends the parent's death signal when the thread that started the child ends, so this thread must
		// stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the exit status of a killed process has no meaning
		}
	}()
	if err := <-started; err != nil {
		<-p.exited
		return fmt.Errorf("apache: starting node %d: %w", n.id, err)
	}
	n.process = p
	return nil
}

// kill ends the process and waits until it has ended.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.cmd.Process.Kill() // it fails when the process has ended already
	<-n.process.exited
	n.process = nil
}

// waitReady returns when the node's response to a Metadata request lists at least the given number of brokers,
// including itself. An open port is not enough: a broker opens it before it is registered.
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
