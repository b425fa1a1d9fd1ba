package worker

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128 // and the signal's number: ended at once by a second signal
)

// sameStop is how long after the first signal others belong to the same stop: timeout(1) signals a process and then its
// group, and a process manager may send SIGINT and SIGTERM at once.
const sameStop = time.Second

// closeTimeout is what bus.App.Close has after the handlers are done: for the functions of OnFinalize, and for what
// they and the handlers have published.
const closeTimeout = 10 * time.Second

// Main runs the App as this process, with its command line, environment and signals, and ends the process. The
// package comment has the configuration and the exit codes. Deferred functions of the caller do not run: what has to
// be done at the end belongs in [bus.App.OnFinalize].
func Main(app *bus.App) {
	p := process{
		name: filepath.Base(os.Args[0]), args: os.Args[1:], env: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr,
		unsetenv:   os.Unsetenv,
		signals:    make(chan os.Signal, 8), // room for those of one stop, and one more
		debug:      make(chan os.Signal, 1),
		setDefault: setDefault,
		monitor:    func() http.Handler { return monitor.Handler(app) },
	}
	if app == nil {
		p.complain(errors.New("worker.Main has got a nil App: make it with bus.New"))
		os.Exit(exitUsage)
	}
	signal.Notify(p.signals, os.Interrupt, syscall.SIGTERM)
	notifyDebug(p.debug)
	os.Exit(p.run(context.Background(), app))
}

// process is what a process gives to the worker. A test brings its own.
type process struct {
	name           string
	args           []string // without the name
	env            func(string) (string, bool)
	unsetenv       func(string) error
	stdout, stderr io.Writer
	signals        chan os.Signal
	debug          chan os.Signal      // SIGUSR1
	setDefault     func(*slog.Logger)  // is told the worker's logger
	monitor        func() http.Handler // makes the App's monitor, before the App runs
}

// application is the part of a *bus.App that the worker needs.
type application interface {
	fmt.Stringer // returns the servers, and nothing that is secret
	Logger() *slog.Logger
	Configure(bus.Config)
	Describe() appinfo.App
	Run(context.Context) error
	Close(context.Context) error
}

// run runs the application until it ends or a signal ends it, and returns the exit code. After a signal that comes
// later than sameStop after the first it returns while the application still runs: the process is to end then.
func (p process) run(ctx context.Context, app application) int {
	o, err := parse(p.args, p.env)
	switch {
	case errors.Is(err, flag.ErrHelp):
		if err := help(p.stdout, p.name); err != nil {
			return exitFailed
		}
		return exitOK
	case err != nil:
		p.complain(err)
		return exitUsage
	}
	if o.version {
		if _, err := fmt.Fprintln(p.stdout, buildinfo.Line(p.name)); err != nil {
			return exitFailed
		}
		return exitOK
	}
	if o.describe {
		app.Configure(o.config)
		return p.describe(app)
	}
	log, level := app.Logger(), new(slog.LevelVar)
	level.Set(o.level)
	if o.log || log == nil {
		log = o.logger(p.stderr, level)
		o.config.Logger = log
	}
	p.setDefault(log)
	if o.warning != "" {
		log.Warn("worker: settings: " + o.warning)
	}
	// What the handlers start has no business with the password.
	if err := p.unsetenv(cliflags.Variable("kafka-settings")); err != nil {
		log.Warn("worker: hiding the settings from child processes", "error", err)
	}
	app.Configure(o.config)
	log.Info("worker: starting", "app", app.String(), "kafkaesk", buildinfo.Version())

	var server *monitorServer
	if o.listenAddr != "" {
		if server, err = startMonitor(ctx, o.listenAddr, p.monitor(), log); err != nil {
			p.complain(err)
			return exitFailed
		}
	}
	defer server.close()

	ctx, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan int, 1)
	go func() { ended <- serve(ctx, app, log) }()
	var first time.Time // when the first signal came
	for {
		select {
		case code := <-ended:
			return code
		case <-p.debug:
			toggleDebug(log, level, o)
		case s := <-p.signals:
			switch {
			case first.IsZero():
				first = time.Now()
				log.Info("worker: ending: running handlers may finish; a signal more than a second later ends at once",
					"signal", s.String())
				end()
			case time.Since(first) <= sameStop:
				log.Info("worker: a signal within a second of the first is the same stop; a later one ends at once",
					"signal", s.String())
			default:
				log.Warn("worker: a second signal: ending at once; records in work are handled again",
					"signal", s.String())
				return atOnce(s)
			}
		}
	}
}

// toggleDebug changes the level of the worker's log between debug and what was asked for.
func toggleDebug(log *slog.Logger, level *slog.LevelVar, o options) {
	switch {
	case o.config.Logger == nil:
		log.Warn("worker: SIGUSR1 changes nothing: the program has configured a logger of its own")
		return
	case level.Level() == o.level:
		level.Set(min(o.level, slog.LevelDebug))
	default:
		level.Set(o.level)
	}
	log.Log(context.Background(), max(level.Level(), slog.LevelInfo), "worker: SIGUSR1 has changed the level of the log",
		"level", level.Level())
}

// setDefault makes the worker's logger slog's default, so that what handlers log by slog has the form and the level
// of the worker's log. A default that the program has set itself stays.
func setDefault(log *slog.Logger) {
	if ownlog.IsDefault(slog.Default().Handler()) && !ownlog.IsDefault(log.Handler()) {
		slog.SetDefault(log)
	}
}

// serve runs the application and closes it.
func serve(ctx context.Context, app application, log *slog.Logger) int {
	code := exitOK
	if err := app.Run(ctx); err != nil {
		log.Error("worker: failed", "error", err)
		code = exitFailed
		if errors.Is(err, bus.ErrNotConfigured) {
			code = exitUsage
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := app.Close(ctx); err != nil {
		log.Error("worker: closing", "error", err)
		return max(code, exitFailed)
	}
	if code == exitOK {
		log.Info("worker: ended")
	}
	return code
}

// describe prints what the application declares.
func (p process) describe(app application) int {
	if err := json.NewEncoder(p.stdout).Encode(app.Describe()); err != nil {
		p.complain(fmt.Errorf("describing the app: %w", err))
		return exitFailed
	}
	return exitOK
}

// complain says what is wrong with the command line, in one line.
func (p process) complain(err error) {
	fmt.Fprintf(p.stderr, "%s: %s (--help lists the flags)\n", p.name, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// atOnce returns the exit code of a process that a signal ends.
func atOnce(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return exitSignal + int(n)
	}
	return exitFailed
}
