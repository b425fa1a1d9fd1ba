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
	exitSignal = 128 // plus the signal's number: a second signal ended the process
)

// sameStop is the time after the first signal in which further signals belong to the same stop: timeout(1) signals a
// process and then its group, and a process manager may send SIGINT and SIGTERM at once.
const sameStop = time.Second

// closeTimeout bounds bus.App.Close after the drain: the functions of OnFinalize, and the delivery of the records
// that they and the handlers have published.
const closeTimeout = 10 * time.Second

// Main runs the App as this process, with its command line, environment and signals, and ends the process. The
// package comment has the configuration and the exit codes. Deferred functions of the caller do not run: what has to
// be done at the end belongs in [bus.App.OnFinalize].
func Main(app *bus.App) {
	p := process{
		name: filepath.Base(os.Args[0]), args: os.Args[1:], env: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr,
		unsetenv:   os.Unsetenv,
		signals:    make(chan os.Signal, 8), // the signals of one stop, and one more
		debug:      make(chan os.Signal, 1),
		setDefault: setDefault,
		monitor:    func() http.Handler { return monitor.Handler(app) },
	}
	if app == nil {
		p.complain(errors.New("worker.Main: the App is nil: create it with bus.New"))
		os.Exit(exitUsage)
	}
	signal.Notify(p.signals, os.Interrupt, syscall.SIGTERM)
	notifyDebug(p.debug)
	os.Exit(p.run(context.Background(), app))
}

// process is the environment of a worker. Tests replace it.
type process struct {
	name           string
	args           []string // without the program's name
	env            func(string) (string, bool)
	unsetenv       func(string) error
	stdout, stderr io.Writer
	signals        chan os.Signal
	debug          chan os.Signal      // SIGUSR1
	setDefault     func(*slog.Logger)  // receives the worker's logger
	monitor        func() http.Handler // creates the App's monitor before the App runs
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

// run runs the application until it ends or a signal ends it, and returns the exit code. For a signal later than
// sameStop after the first one it returns while the application still runs: the process must exit then.
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
	// Child processes of the handlers must not get the password.
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
	var first time.Time // time of the first signal
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

// toggleDebug switches the level of the worker's log between debug and the configured one.
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

// setDefault makes the worker's logger slog's default, so that handlers that log by slog use the form and the level
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

// describe prints the application's declarations.
func (p process) describe(app application) int {
	if err := json.NewEncoder(p.stdout).Encode(app.Describe()); err != nil {
		p.complain(fmt.Errorf("describing the app: %w", err))
		return exitFailed
	}
	return exitOK
}

// complain reports an error of the command line in one line.
func (p process) complain(err error) {
	fmt.Fprintf(p.stderr, "%s: %s (--help lists the flags)\n", p.name, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// atOnce returns the exit code for a signal that ends the process.
func atOnce(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return exitSignal + int(n)
	}
	return exitFailed
}
