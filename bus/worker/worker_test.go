package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// canary stands for a secret. Nothing may print it.
const canary = "canary-7f3a"

// fakeApp is an application without Kafka.
type fakeApp struct {
	config bus.Config
	logger *slog.Logger // that the program configured
	run    func(context.Context) error
	close  error
	closed int
}

func (a *fakeApp) String() string         { return "fake" }
func (a *fakeApp) Logger() *slog.Logger   { return a.logger }
func (a *fakeApp) Configure(c bus.Config) { a.config = c }
func (a *fakeApp) Describe() appinfo.App {
	return appinfo.App{Servers: a.config.Servers, TopicPrefix: a.config.TopicPrefix}
}
func (a *fakeApp) Run(ctx context.Context) error {
	if a.run == nil {
		return nil
	}
	return a.run(ctx)
}
func (a *fakeApp) Close(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded || ctx.Err() != nil {
		return errors.New("the context of Close is not one to close with")
	}
	a.closed++
	return a.close
}

// runWith runs an application with a command line and an environment.
func runWith(t *testing.T, app *fakeApp, args []string, env map[string]string,
	signals ...os.Signal) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	p := process{name: "app", args: args, stdout: &out, stderr: &err, signals: make(chan os.Signal, len(signals)),
		setDefault: func(*slog.Logger) {}}
	p.unsetenv = func(name string) error { delete(env, name); return nil }
	p.env = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, s := range signals {
		p.signals <- s
	}
	code = p.run(t.Context(), app)
	return code, out.String(), err.String()
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	settings := `{"security_protocol":"SASL_SSL","sasl_mechanism":"PLAIN","sasl_plain_username":"u",` +
		`"sasl_plain_password":"` + canary + `"}`
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(settings+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := bus.ParseSettings(settings)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want bus.Config
	}{
		{name: "nothing"},
		{name: "servers", args: []string{"--kafka-servers=a:1, b:2,"}, want: bus.Config{Servers: []string{"a:1", "b:2"}}},
		{name: "short", args: []string{"-b", "a:1"}, want: bus.Config{Servers: []string{"a:1"}}},
		{name: "the last one counts", args: []string{"-b", "a:1", "--kafka-servers", "b:2"},
			want: bus.Config{Servers: []string{"b:2"}}},
		{name: "servers of the environment", env: map[string]string{"KAFKAESK_KAFKA_SERVERS": "[::1]:9092"},
			want: bus.Config{Servers: []string{"[::1]:9092"}}},
		{name: "a flag wins", args: []string{"--kafka-servers=a:1", "--drain-timeout=5s"},
			env: map[string]string{"KAFKAESK_KAFKA_SERVERS": "b:2", "KAFKAESK_DRAIN_TIMEOUT": "nonsense",
				"KAFKAESK_TOPIC_PREFIX": "p."},
			want: bus.Config{Servers: []string{"a:1"}, DrainTimeout: 5 * time.Second, TopicPrefix: "p."}},
		{name: "an empty flag hides its variable", args: []string{"--topic-prefix="},
			env: map[string]string{"KAFKAESK_TOPIC_PREFIX": "p."}},
		{name: "an empty variable is none", env: map[string]string{"KAFKAESK_KAFKA_SERVERS": "", "KAFKAESK_LOG_LEVEL": "",
			"KAFKAESK_DRAIN_TIMEOUT": ""}},
		{name: "all the rest", args: []string{"--topic-prefix", "p.", "--replication-factor", "2", "--drain-timeout", "1m"},
			want: bus.Config{TopicPrefix: "p.", ReplicationFactor: 2, DrainTimeout: time.Minute}},
		{name: "all of the environment", env: map[string]string{"KAFKAESK_TOPIC_PREFIX": "p.",
			"KAFKAESK_REPLICATION_FACTOR": "2", "KAFKAESK_DRAIN_TIMEOUT": "1m", "KAFKAESK_KAFKA_SETTINGS": settings},
			want: bus.Config{TopicPrefix: "p.", ReplicationFactor: 2, DrainTimeout: time.Minute, Settings: parsed}},
		{name: "settings", args: []string{"--kafka-settings", settings}, want: bus.Config{Settings: parsed}},
		{name: "settings of a file", args: []string{"--kafka-settings=@" + file}, want: bus.Config{Settings: parsed}},
		{name: "settings of a file that a variable names", env: map[string]string{"KAFKAESK_KAFKA_SETTINGS": "@" + file},
			want: bus.Config{Settings: parsed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := new(fakeApp)
			code, stdout, stderr := runWith(t, app, tt.args, tt.env)
			if code != exitOK || stdout != "" || app.closed != 1 {
				t.Fatalf("exit code %d, closed %d times, stdout %q, stderr %s", code, app.closed, stdout, stderr)
			}
			app.config.Logger = nil // TestLog
			// A secret is not comparable.
			if got, want := connection(t, app.config), connection(t, tt.want); !reflect.DeepEqual(got, want) {
				t.Errorf("settings %v, want %v", got, want)
			}
			app.config.Settings, tt.want.Settings = nil, nil
			if !reflect.DeepEqual(app.config, tt.want) {
				t.Errorf("configured %+v, want %+v", app.config, tt.want)
			}
			if strings.Contains(stderr, canary) {
				t.Errorf("a secret was printed: %s", stderr)
			}
		})
	}
}

// connection returns what the configuration's settings mean, with the password as it is.
func connection(t *testing.T, c bus.Config) [2]any {
	t.Helper()
	s, _, err := kafka.ParseSettings(c.Settings)
	if err != nil {
		t.Fatal(err)
	}
	password := s.SASLPassword.Reveal()
	s.SASLPassword = kafka.Secret{}
	return [2]any{s, password}
}

// Processes that handlers start do not get the settings, nor does whoever reads them from the environment later.
func TestTheSettingsLeaveTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"KAFKAESK_KAFKA_SETTINGS": `{"linger_ms":1}`, "KAFKAESK_TOPIC_PREFIX": "p."}
	for _, args := range [][]string{nil, {"--kafka-settings={}"}} { // a flag hides the variable, and it goes all the same
		inside := maps.Clone(env)
		app := &fakeApp{run: func(context.Context) error {
			if _, there := inside["KAFKAESK_KAFKA_SETTINGS"]; there || len(inside) != 1 {
				t.Errorf("%q: handlers run with %v", args, inside)
			}
			return nil
		}}
		if code, _, stderr := runWith(t, app, args, inside); code != exitOK {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestAFileOfSettingsThatOthersCanRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(`{"sasl_plain_password":"`+canary+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, warnings := range map[os.FileMode]int{0o600: 0, 0o640: 1, 0o604: 1} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := runWith(t, new(fakeApp), []string{"--kafka-settings=@" + file}, nil)
		if n := strings.Count(stderr, "lets others read it: chmod 600 it"); code != exitOK || n != warnings ||
			strings.Contains(stderr, canary) {
			t.Errorf("mode %#o: exit code %d, %d warnings: %s", mode, code, n, stderr)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"sasl_plain_password":`+canary), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{name: "unknown flag", args: []string{"--kafka-setings=" + canary}, want: "-kafka-setings"},
		{name: "flag without a value", args: []string{"--kafka-settings"}, want: "-kafka-settings"},
		{name: "argument", args: []string{"-b", "a:1", canary, "more"}, want: "argument 3 is not a flag"},
		{name: "Python's flag", args: []string{"--api-version", "auto"}, want: "Python"},
		{name: "server without a port", args: []string{"-b", "a:1,user:" + canary + "@b"},
			want: "--kafka-servers: server 2: want host:port"},
		{name: "no server", args: []string{"-b", ","}, want: "the list is empty"},
		{name: "server of the environment", env: map[string]string{"KAFKAESK_KAFKA_SERVERS": canary},
			want: "$KAFKAESK_KAFKA_SERVERS: server 1"},
		{name: "settings that are no JSON", args: []string{"--kafka-settings", "{" + canary}, want: "--kafka-settings: "},
		{name: "settings that are no object", args: []string{"--kafka-settings", `["` + canary + `"]`}, want: "JSON object"},
		{name: "a setting nobody knows", args: []string{"--kafka-settings", `{"sasl_plain_pasword":"` + canary + `"}`},
			want: "sasl_plain_password"},
		{name: "a setting of the wrong type", args: []string{"--kafka-settings", `{"request_timeout_ms":"` + canary + `"}`},
			want: "request_timeout_ms"},
		{name: "two things wrong in one line", args: []string{"--kafka-settings", `{"retry_backoff_ms":"` + canary +
			`","request_timeout_ms":"` + canary + `"}`}, want: "request_timeout_ms"},
		{name: "settings of a file that is not there", args: []string{"--kafka-settings=@/nowhere/settings.json"},
			want: "/nowhere/settings.json"},
		{name: "settings of a broken file", env: map[string]string{"KAFKAESK_KAFKA_SETTINGS": "@" + broken},
			want: "$KAFKAESK_KAFKA_SETTINGS: "},
		{name: "replication factor", args: []string{"--replication-factor=0"},
			want: "--replication-factor: want a number from 1"},
		{name: "replication factor that is no number", args: []string{"--replication-factor=" + canary},
			want: "want a number"},
		{name: "replication factor too large", args: []string{"--replication-factor=40000"}, want: "want a number"},
		{name: "drain timeout without a unit", env: map[string]string{"KAFKAESK_DRAIN_TIMEOUT": "30"},
			want: "$KAFKAESK_DRAIN_TIMEOUT: want a duration"},
		{name: "no drain timeout", args: []string{"--drain-timeout=0s"}, want: "above zero"},
		{name: "listen without a port", args: []string{"--listen=localhost"}, want: "want [host]:port"},
		{name: "log format", args: []string{"--log-format=xml"}, want: "want text or json"},
		{name: "log level", args: []string{"--log-level=loud"}, want: "want debug, info"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := &fakeApp{run: func(context.Context) error { t.Error("the app was run"); return nil }}
			code, stdout, stderr := runWith(t, app, tt.args, tt.env)
			if code != exitUsage || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			if !strings.HasPrefix(stderr, "app: ") || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stderr %q, want one line with %q", stderr, tt.want)
			}
			if strings.Contains(stderr, canary) {
				t.Errorf("a secret was printed: %s", stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-h", "-help", "--help"} {
		app := &fakeApp{run: func(context.Context) error { t.Error("the app was run"); return nil }}
		code, stdout, stderr := runWith(t, app, []string{"-b", "a:1", flag}, nil)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit code %d, stderr %q", flag, code, stderr)
		}
		want := []string{"Usage: app [flags]", "-b, --kafka-servers", "--api-version",
			"default: as the program configured, or 30s"}
		for _, x := range table() {
			want = append(want, "--"+x.name+" "+x.value, "$"+x.variable())
		}
		for _, code := range []int{exitOK, exitFailed, exitUsage, exitSignal + 2, exitSignal + 15} {
			want = append(want, fmt.Sprintf("\n  %-3d  ", code))
		}
		for _, w := range want {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s: %q is not in the help:\n%s", flag, w, stdout)
			}
		}
	}
}

// The package comment is what people read first: it has to tell what the help tells.
func TestPackageCommentTellsTheOptions(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range table() {
		if !strings.Contains(string(doc), "--"+x.name) || !strings.Contains(string(doc), x.variable()) {
			t.Errorf("the package comment has no --%s with %s", x.name, x.variable())
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestHelpThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := process{args: []string{"--help"}, stdout: failingWriter{}, stderr: io.Discard}
	if code := p.run(t.Context(), new(fakeApp)); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	untilEnd := func(ctx context.Context) error { <-ctx.Done(); return nil }
	tests := []struct {
		name    string
		app     *fakeApp
		signals []os.Signal
		code    int
		stderr  string // part of it
		errors  int    // lines at the level ERROR
	}{
		{name: "all subscriptions stopped", app: &fakeApp{}, stderr: `msg="worker: ended"`},
		{name: "interrupted", app: &fakeApp{run: untilEnd}, signals: []os.Signal{os.Interrupt}, stderr: "signal=interrupt"},
		{name: "terminated", app: &fakeApp{run: untilEnd}, signals: []os.Signal{syscall.SIGTERM},
			stderr: "signal=terminated"},
		{name: "no servers", app: &fakeApp{run: func(context.Context) error {
			return fmt.Errorf("bus: %w", bus.ErrNotConfigured)
		}},
			code: exitUsage, stderr: "no Kafka servers", errors: 1},
		{name: "failed", app: &fakeApp{run: func(context.Context) error { return errors.New("handler\ngave up") }},
			code: exitFailed, stderr: `error="handler\ngave up"`, errors: 1},
		{name: "failed while ending", app: &fakeApp{run: func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("commit refused")
		}},
			signals: []os.Signal{syscall.SIGTERM}, code: exitFailed, stderr: "commit refused", errors: 1},
		{name: "close failed", app: &fakeApp{close: errors.New("3 records left")}, code: exitFailed,
			stderr: "3 records left", errors: 1},
		{name: "both failed", app: &fakeApp{run: func(context.Context) error { return bus.ErrNotConfigured },
			close: errors.New("3 records left")},
			code: exitUsage, stderr: "3 records left", errors: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runWith(t, tt.app, nil, nil, tt.signals...)
			if code != tt.code || tt.app.closed != 1 {
				t.Errorf("exit code %d, want %d; closed %d times", code, tt.code, tt.app.closed)
			}
			if stdout != "" || !strings.Contains(stderr, tt.stderr) || strings.Count(stderr, "level=ERROR") != tt.errors {
				t.Errorf("stdout %q, stderr %s\nwant %q and %d errors", stdout, stderr, tt.stderr, tt.errors)
			}
		})
	}
}

// Signals within a second of the first are the same stop, whichever they are; a later one ends at once.
func TestSignalsOfOneStopAreOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		signals []os.Signal
		after   []time.Duration // of each: when it comes
		atOnce  int             // the exit code; 0: it drains
	}{
		{"timeout(1) signals the process and then its group", []os.Signal{syscall.SIGTERM, syscall.SIGTERM},
			[]time.Duration{0, 0}, 0},
		{"a process manager at Ctrl-C", []os.Signal{os.Interrupt, syscall.SIGTERM}, []time.Duration{0, 20 * time.Millisecond},
			0},
		{"many, the last after a second", []os.Signal{os.Interrupt, os.Interrupt, syscall.SIGTERM},
			[]time.Duration{0, time.Millisecond, time.Second}, 0},
		{"a later SIGINT", []os.Signal{syscall.SIGTERM, os.Interrupt}, []time.Duration{0, time.Second + time.Millisecond},
			130},
		{"a later SIGTERM", []os.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM},
			[]time.Duration{0, time.Second, 2 * time.Second}, 143},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, signals := time.Now(), make(chan os.Signal)
				release, handled := make(chan struct{}), make(chan struct{})
				app := &fakeApp{run: func(ctx context.Context) error {
					defer close(handled)
					<-ctx.Done()
					select {
					case <-time.After(10 * time.Second): // a handler finishes
					case <-release:
					}
					return nil
				}}
				go func() {
					for i, s := range tt.signals {
						time.Sleep(time.Until(begin.Add(tt.after[i])))
						signals <- s
					}
				}()
				var stderr strings.Builder
				p := process{name: "app", env: func(string) (string, bool) { return "", false }, stdout: io.Discard,
					stderr:   &stderr,
					unsetenv: func(string) error { return nil }, signals: signals, setDefault: func(*slog.Logger) {}}
				code := p.run(t.Context(), app)
				drained := time.Since(begin) == 10*time.Second && app.closed == 1
				if code != tt.atOnce || drained != (tt.atOnce == 0) {
					t.Errorf("exit code %d after %v, closed %d times\n%s", code, time.Since(begin), app.closed, stderr.String())
				}
				if said := strings.Contains(stderr.String(), "a second signal: ending at once"); said != (tt.atOnce != 0) {
					t.Errorf("stderr %s", stderr.String())
				}
				close(release)
				<-handled
			})
		})
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	const own = "own: " // what the program's own log has before each line
	tests := []struct {
		name string
		args []string
		env  map[string]string
		own  bool   // the program has configured a logger
		want string // at the start of the worker's first line; "" means that there is none
	}{
		{name: "by itself", want: "time="},
		{name: "text", args: []string{"--log-format=text"}, want: "time="},
		{name: "json", args: []string{"--log-format=json"}, want: `{"time":`},
		{name: "json of the environment", env: map[string]string{"KAFKAESK_LOG_FORMAT": "json"}, want: `{"time":`},
		{name: "level", args: []string{"--log-level=ERROR"}},
		{name: "Python's name of a level", env: map[string]string{"KAFKAESK_LOG_LEVEL": "warning"}},
		{name: "the program's own", own: true, want: own},
		{name: "a flag over the program's own", own: true, args: []string{"--log-format=json"}, want: `{"time":`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := new(fakeApp)
			var mine strings.Builder
			if tt.own {
				app.logger = slog.New(slog.NewTextHandler(prefixed{&mine}, nil))
			}
			app.run = func(ctx context.Context) error {
				log := app.logger
				if app.config.Logger != nil {
					log = app.config.Logger
				}
				log.Log(ctx, slog.LevelError, "of the app")
				return nil
			}
			_, _, stderr := runWith(t, app, tt.args, tt.env)
			all := mine.String() + stderr
			if !strings.Contains(all, "of the app") {
				t.Errorf("the App's own line is nowhere: %q", all)
			}
			if mine.Len() > 0 && stderr != "" {
				t.Errorf("two logs: %q and %q", mine.String(), stderr)
			}
			if tt.want == "" {
				if strings.Contains(all, "worker: starting") {
					t.Errorf("%s, want no line of the level INFO", all)
				}
				return
			}
			if !strings.HasPrefix(all, tt.want) || !strings.Contains(all, "fake") {
				t.Errorf("%s, want it to begin with %q and to name the app", all, tt.want)
			}
		})
	}
}

// prefixed writes a mark before each line.
type prefixed struct{ w io.Writer }

func (p prefixed) Write(line []byte) (int, error) { return p.w.Write(append([]byte("own: "), line...)) }

// A program asked to describe its App runs nothing, and says nothing of secrets.
func TestDescribe(t *testing.T) {
	t.Parallel()
	app := &fakeApp{run: func(context.Context) error { t.Error("the App was run"); return nil }}
	env := map[string]string{"KAFKAESK_KAFKA_SETTINGS": `{"sasl_plain_password":"` + canary + `"}`}
	code, stdout, stderr := runWith(t, app, []string{"--describe", "-b", "a:1", "--topic-prefix=p."}, env)
	info, err := appinfo.Parse([]byte(stdout))
	if code != exitOK || stderr != "" || err != nil || info.TopicPrefix != "p." || len(info.Servers) != 1 ||
		app.closed != 0 {
		t.Errorf("exit code %d, stdout %s, stderr %s: %v", code, stdout, stderr, err)
	}
	if strings.Contains(stdout, canary) {
		t.Errorf("a secret in %s", stdout)
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	app := &fakeApp{run: func(context.Context) error { t.Error("the App was run"); return nil }}
	code, stdout, stderr := runWith(t, app, []string{"--version"}, nil)
	if code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "app (") || app.closed != 0 {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, stdout, stderr)
	}
}
