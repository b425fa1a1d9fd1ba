package interop

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// python returns an interpreter that has the packages of testdata/requirements.txt, in an environment that is made once
// for each such list.
func python(t *testing.T) string {
	t.Helper()
	environment.once.Do(func() { environment.python, environment.err = makeEnvironment(context.Background()) })
	if environment.err != nil {
		t.Fatalf("a Python environment with kafkaesk and aiokafka: %v", environment.err)
	}
	return environment.python
}

var environment struct {
	once   sync.Once
	python string
	err    error
}

func makeEnvironment(ctx context.Context) (string, error) {
	const requirements = "testdata/requirements.txt"
	list, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(list)
	dir := filepath.Join(cache, "kafkaesk-interop", hex.EncodeToString(sum[:6]))
	interpreter := filepath.Join(dir, "bin", "python")
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return interpreter, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return interpreter, os.WriteFile(complete, nil, 0o600)
}

// line is what the programs of testdata write.
type line struct {
	Assigned [][2]any        `json:"assigned"`
	Handled  json.RawMessage `json:"handled"`
	Schema   string          `json:"schema"`
	Left     bool            `json:"left"`
}

// program is one of them, running. It ends when the test does, or by stop.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	over  chan struct{} // closed when all lines have been read

	mu    sync.Mutex
	lines []line
	err   string // what it wrote to standard error
}

func run(t *testing.T, script string, args ...string) *program {
	t.Helper()
	p := &program{t: t, over: make(chan struct{})}
	p.cmd = exec.Command(python(t), append([]string{"-u", filepath.Join("testdata", script)}, args...)...)
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.over)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Errorf("%s wrote %q: %v", script, lines.Text(), err)
				continue
			}
			p.mu.Lock()
			p.lines = append(p.lines, l)
			p.mu.Unlock()
		}
	}()
	t.Cleanup(p.stop)
	return p
}

// Write takes standard error.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err += string(b)
	return len(b), nil
}

// stop closes the program's standard input, and waits until it has left its group and ended.
func (p *program) stop() {
	if p.cmd == nil {
		return
	}
	p.t.Helper()
	_ = p.stdin.Close()
	kill := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.over
	err := p.cmd.Wait()
	p.cmd = nil
	if err != nil || p.t.Failed() {
		p.t.Errorf("%v ended with %v; it wrote to standard error:\n%s", p, err, p.err)
	}
}

func (p *program) String() string { return "python" }

// handled returns what the program has handled so far, by value.
func (p *program) handled() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := make(map[string]int)
	for _, l := range p.lines {
		if l.Handled != nil {
			count[text(l.Handled)]++
		}
	}
	return count
}

// text returns a JSON string's text, and the JSON of anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// assigned returns how many partitions the program has had since the last rebalance; -1 before the first.
func (p *program) assigned() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.lines) - 1; i >= 0; i-- {
		if p.lines[i].Assigned != nil {
			return len(p.lines[i].Assigned)
		}
	}
	return -1
}
