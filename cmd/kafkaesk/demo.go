package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
	"github.com/kafkaesk/kafkaesk/internal/webpage"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// demoOptions are the flags of `kafkaesk demo`.
type demoOptions struct {
	addr, listenAddr, logs string
	logtail                string // path of the program; "" if it is not installed
}

func newDemo(streams Streams) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a broker, a small app, its monitor and the page of its logs",
		Long: cli.Wrap("demo shows what there is: it runs a development broker, an app that takes orders, bills them and " +
			"ships them, the app's monitor, and, where the program logtail is installed, the page of its logs. " +
			"One order in twenty cannot be billed, and becomes a dead letter. Nothing is kept. Ctrl-C ends it."),
		Example: "  kafkaesk demo",
		Args:    cli.AsUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.listenAddr, err = cliflags.ListenAddress(o.listenAddr); err != nil {
				return cli.UsageErrorf("--listen: %w", err)
			}
			if o.logs, err = cliflags.ListenAddress(o.logs); err != nil {
				return cli.UsageErrorf("--logs-listen: %w", err)
			}
			o.logtail = findLogtail()
			return o.run(cmd.Context(), streams)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "the `host:port` of the broker; port 0 means any free port")
	flags.StringVar(&o.listenAddr, "listen", "127.0.0.1:0", "the `host:port` of the monitor")
	flags.StringVar(&o.logs, "logs-listen", "127.0.0.1:0", "the `host:port` of the page of the logs")
	return cmd
}

// findLogtail returns the program logtail in this program's directory or in PATH; "" for none.
func findLogtail() string {
	name := executable("logtail")
	if own, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(own), name); !missing(beside) {
			return beside
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return found
}

// run runs all parts until ctx ends.
func (o *demoOptions) run(ctx context.Context, streams Streams) (err error) {
	log := slog.New(slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: slog.LevelError}))
	broker, err := devkafka.Start(devkafka.Options{Addr: o.addr, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	address := broker.Addrs()[0]
	app := bus.New(bus.Config{Servers: []string{address}, Logger: log, DrainTimeout: time.Second})
	logs := slogkafka.NewHandler(app, "logs.demo", slogkafka.Service("demo"))
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, logs.Close(closing), app.Close(closing))
	}()
	shop := &demoShop{app: app, log: slog.New(logs)}
	if err := shop.declare(); err != nil {
		return err
	}
	handler := monitor.Handler(app) // the monitor must be created before the app runs
	if err := app.Initialize(ctx); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listenAddr)
	if err != nil {
		return fmt.Errorf("listen for the monitor: %w", err)
	}
	all, running := errgroup.WithContext(ctx)
	all.Go(func() error { return app.Run(running) })
	all.Go(func() error { return shop.sell(running) })
	all.Go(func() error { return serveDemo(running, listener, handler) })
	if o.logtail != "" {
		all.Go(func() error { return o.serveLogs(running, address, streams) })
	}
	o.printAddresses(streams, address, webpage.URL(o.listenAddr, listener.Addr()))
	if err := all.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// printAddresses prints the addresses of all parts.
func (o *demoOptions) printAddresses(streams Streams, broker, monitor string) {
	logs := "the program logtail is not installed: go install github.com/kafkaesk/kafkaesk/cmd/logtail@latest"
	if o.logtail != "" {
		logs = "its address is on the line of logtail"
	}
	fmt.Fprintf(streams.Err, `kafkaesk: the demo runs. Ctrl-C ends it.

  broker             %[1]s
  monitor            %[2]s
  page of the logs   %[3]s

  kafkaesk lag -b %[1]s
  kafkaesk dead -b %[1]s
  kafkaesk dead replay -b %[1]s orders billing
  logtail -b %[1]s 'logs.*'

`, broker, monitor, logs)
}

// serveDemo serves the monitor until ctx ends.
func serveDemo(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the monitor: %w", err)
	}
	return nil
}

// serveLogs runs the page of the logs until ctx ends.
func (o *demoOptions) serveLogs(ctx context.Context, broker string, streams Streams) error {
	cmd := exec.CommandContext(ctx, o.logtail, "serve", "-b", broker, "--listen", o.logs, "logs.*")
	// The demo's broker asks for no login and knows no prefix, whatever the variables say of another Kafka.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KAFKAESK_") })
	cmd.Stdout, cmd.Stderr = streams.Err, streams.Err
	if runtime.GOOS != "windows" { // Windows can only kill a process
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s serve: %w", o.logtail, err)
	}
	return nil
}

// demoOrder is what the demo's app publishes.
type demoOrder struct {
	Number int    `json:"number" jsonschema:"minimum=1"`
	Item   string `json:"item" jsonschema:"enum=tea,enum=coffee,enum=cocoa"`
	Cents  int    `json:"cents" jsonschema:"minimum=1"`
}

// demoShop is the demo's app: a shop that takes orders, bills them and ships them.
type demoShop struct {
	app *bus.App
	log *slog.Logger
}

// declare declares the schema and the subscriptions.
func (s *demoShop) declare() error {
	if err := bus.Schema[demoOrder](s.app, "Order", bus.Streams("orders")); err != nil {
		return err
	}
	if err := bus.Subscribe(s.app, "orders", s.bill, bus.Group("billing"), bus.DeadLetter()); err != nil {
		return err
	}
	return bus.Subscribe(s.app, "orders", s.ship, bus.Group("shipping"), bus.Concurrency(4, bus.ByKey))
}

// sellEvery is the interval between orders.
const sellEvery = 200 * time.Millisecond

// sell publishes orders until ctx ends.
func (s *demoShop) sell(ctx context.Context) error {
	items := []string{"tea", "coffee", "cocoa"}
	ticker := time.NewTicker(sellEvery)
	defer ticker.Stop()
	for n := 1; ; n++ {
		order := demoOrder{Number: n, Item: items[n%len(items)], Cents: 100 + 37*n%900}
		if err := s.app.Publish(ctx, "orders", order, bus.Key("customer-"+strconv.Itoa(n%7))); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.log.InfoContext(ctx, "order taken", "order", n, "item", order.Item, "cents", order.Cents)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

var errNoCard = errors.New("the card is refused")

func (s *demoShop) bill(ctx context.Context, order demoOrder) error {
	if order.Number%20 == 0 {
		s.log.ErrorContext(ctx, "order cannot be billed", "order", order.Number, "err", errNoCard)
		return bus.Reject(fmt.Errorf("order %d: %w", order.Number, errNoCard))
	}
	s.log.DebugContext(ctx, "order billed", "order", order.Number)
	return nil
}

// ship takes some time, and longer for each seventh order, so that a lag can be seen.
func (s *demoShop) ship(ctx context.Context, order demoOrder) error {
	pause := 100 * time.Millisecond
	if order.Number%7 == 0 {
		pause = 2 * time.Second
		s.log.WarnContext(ctx, "parcel service is slow", "order", order.Number)
	}
	select {
	case <-time.After(pause):
		s.log.InfoContext(ctx, "order shipped", "order", order.Number, "item", order.Item)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
