package apache_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// helperEnv makes the test binary start a cluster, say where it is, and wait to be killed.
const helperEnv = "KAFKATEST_APACHE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
	}
	testkit.Main(m)
}

func helper() {
	c, err := apache.Start(context.Background(), apache.Options{Version: version()})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString(c.Servers()[0] + "\n")
	select {}
}

// version is what KAFKA=apache:VERSION names, or "".
func version() string {
	_, version, _ := strings.Cut(os.Getenv("KAFKA"), ":")
	return version
}

func needApache(t *testing.T) {
	t.Helper()
	if kafka, _, _ := strings.Cut(os.Getenv("KAFKA"), ":"); kafka != "apache" {
		t.Skip("starts Apache Kafka: run with KAFKA=apache")
	}
}

// What a test can do with a cluster is tested in kafkatest; here are the process's own matters.
func TestLifeOfANode(t *testing.T) {
	needApache(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c, err := apache.Start(ctx, apache.Options{Version: version(),
		Properties: map[string]string{"auto.create.topics.enable": "false"}})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Servers()[0]
	if err := c.Restart(ctx, 0); err == nil {
		t.Error("a node that runs was started again")
	}
	c.Kill(0)
	c.Kill(0) // it is dead: nothing to do
	if _, err := apache.Brokers(ctx, addr); err == nil {
		t.Error("a killed node answers")
	}
	if err := c.Restart(ctx, 0); err != nil {
		t.Fatalf("%v\n%s", err, c.Log())
	}
	if ids, err := apache.Brokers(ctx, addr); err != nil || !slices.Equal(ids, []int32{1}) {
		t.Errorf("brokers %v, error %v; want broker 1", ids, err)
	}
	if !strings.Contains(c.Log(), "kafka.log") {
		t.Errorf("log %q does not say whose it is", c.Log())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := apache.Brokers(ctx, addr); err == nil {
		t.Error("a closed cluster answers")
	}
}

func TestANodeThatCannotStartSaysWhy(t *testing.T) {
	needApache(t)
	_, err := apache.Start(t.Context(),
		apache.Options{Version: version(), Properties: map[string]string{"num.network.threads": "0"}})
	if err == nil || !strings.Contains(err.Error(), "num.network.threads") {
		t.Fatalf("error = %v, want one with Kafka's reason", err)
	}
}

func TestKafkaDiesWithTheProcessThatStartedIt(t *testing.T) {
	needApache(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a process to its parent's life")
	}
	temp := t.TempDir() // the helper cannot clean up after itself
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1", "TMPDIR="+temp)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the helper did not start Kafka: %v", err)
	}
	addr := strings.TrimSpace(line)
	if _, err := apache.Brokers(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the helper ended by itself")
	}
	testkit.Until(t, "Kafka ends", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	needApache(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := apache.Start(ctx, apache.Options{Version: version()}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want the context's", err)
	}
}

func TestBrokersOfSomethingElse(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_ = conn.Close()
	}()
	if ids, err := apache.Brokers(t.Context(), ln.Addr().String()); err == nil {
		t.Errorf("a web server lists brokers %v", ids)
	}
	<-done
}

func TestFreePorts(t *testing.T) {
	t.Parallel()
	ports, err := apache.FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if got := slices.Compact(slices.Clone(ports)); len(got) != 20 {
		t.Fatalf("%d different ports, want 20", len(got))
	}
	for _, p := range ports {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			t.Errorf("port %d is not free: %v", p, err)
			continue
		}
		_ = ln.Close()
	}
	if _, err := apache.FreePorts(2000); err == nil {
		t.Error("2000 ports were found in 1000 tries")
	}
}

func TestAVersionHasTheFormOfApacheKafkas(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"newest", "4.1", "../4.1.1", "4.1.1</version>"} {
		if _, err := apache.Fetch(t.Context(), version); err == nil || !strings.Contains(err.Error(), "4.1.1") {
			t.Errorf("version %q: error = %v, want one with a version", version, err)
		}
	}
}
