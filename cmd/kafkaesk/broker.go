package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

// brokerOptions are the flags of `kafkaesk broker`.
type brokerOptions struct {
	addr        string
	dataDir     string
	ephemeral   bool
	partitions  int
	allowRemote bool
}

func newBroker(streams Streams) *cobra.Command {
	var o brokerOptions
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the development broker",
		Long: "broker runs a Kafka for development in this process, with nothing to install. Any Kafka client can " +
			"connect to it.\nTopics are created when they are first used. Topics, records and groups are kept in the " +
			"data directory.\n\n" +
			"It is not for production: it has no replication, no authentication and makes no promise of durability.",
		Example: "  kafkaesk broker\n  kafkaesk broker --ephemeral --addr 127.0.0.1:0",
		Args:    cli.AsUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context(), streams)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.addr, "addr", "127.0.0.1:9092", "the `host:port` to listen on; port 0 means any free port")
	flags.StringVar(&o.dataDir, "data-dir", "", "the `directory` to keep data in (default: kafkaesk/broker in the "+
		"user's data directory)")
	flags.BoolVar(&o.ephemeral, "ephemeral", false, "keep no data after the broker ends")
	flags.IntVar(&o.partitions, "partitions", 4, "partitions of a topic whose creator does not set a number")
	flags.BoolVar(&o.allowRemote, "allow-remote", false, "permit an --addr that other machines can reach: whoever "+
		"connects can do everything")
	return cmd
}

// complete validates the flags and sets the defaults.
func (o *brokerOptions) complete() error {
	switch {
	case o.ephemeral && o.dataDir != "":
		return cli.UsageError(errors.New("--ephemeral keeps no data and --data-dir sets where: give one of them"))
	case o.partitions < 1:
		return cli.UsageError(fmt.Errorf("--partitions %d: a topic has at least one", o.partitions))
	case o.ephemeral || o.dataDir != "":
		return nil
	}
	dir, err := userDataDir()
	if err != nil {
		return fmt.Errorf("finding the user's data directory: %w: use --data-dir or --ephemeral", err)
	}
	o.dataDir = filepath.Join(dir, "kafkaesk", "broker")
	return nil
}

// run runs the broker until ctx ends.
func (o *brokerOptions) run(ctx context.Context, streams Streams) error {
	b, err := devkafka.Start(devkafka.Options{
		Addr:        o.addr,
		DataDir:     o.dataDir, // empty: a temporary one
		Partitions:  o.partitions,
		AllowRemote: o.allowRemote,
		Logger:      slog.New(slog.NewTextHandler(streams.Err, nil)),
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program listens there: end it, or give --addr 127.0.0.1:0 for any free port",
			err)
	}
	if err != nil {
		return err
	}
	addr, data := b.Addrs()[0], o.dataDir
	if o.ephemeral {
		data = "a temporary directory"
	}
	fmt.Fprintf(streams.Err, `kafkaesk: development broker on %[1]s, data in %[2]s
It is for development: no replication, no authentication, no promise of durability. Ctrl-C ends it.

  read logs          logtail -b %[1]s 'logs.*'
  connect an app     bus.New(bus.Config{Servers: []string{"%[1]s"}})
  look around        kafkaesk streams -b %[1]s
`, addr, data)
	<-ctx.Done()
	if err := b.Close(); err != nil {
		return err
	}
	fmt.Fprintln(streams.Err, "kafkaesk: the development broker has ended")
	return nil
}

// userDataDir returns the directory for user data: $XDG_DATA_HOME or ~/.local/share, and on macOS and Windows the
// directory for application data.
func userDataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	switch runtime.GOOS {
	case "darwin", "ios", "windows":
		return os.UserConfigDir()
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "share"), nil
}
