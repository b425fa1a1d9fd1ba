package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/connect"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// reach is how long a command waits for a broker at its start.
const reach = 10 * time.Second

// Connection is the Kafka of a command line.
type Connection struct {
	streams Streams
	cmd     *cobra.Command
	flags   connect.Flags
	timeout time.Duration
}

// Connect adds the connection flags to a command.
func Connect(cmd *cobra.Command, s Streams) *Connection {
	c := &Connection{streams: s, cmd: cmd}
	cmd.Flags().AddFlagSet(c.flags.FlagSet())
	_ = cmd.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) (
		[]string, cobra.ShellCompDirective,
	) {
		return connect.ProfileNames(s.Variable), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// ConnectFor is Connect for a command that queries something and exits: --timeout bounds all its requests.
func ConnectFor(cmd *cobra.Command, s Streams) *Connection {
	c := Connect(cmd, s)
	cmd.Flags().DurationVar(&c.timeout, "timeout", 30*time.Second, "exit with an error when the brokers have not "+
		"answered by then")
	return c
}

// Target resolves the connection flags. It prints warnings to standard error.
func (c *Connection) Target() (connect.Target, error) {
	target, err := c.resolve()
	if err != nil {
		return connect.Target{}, UsageError(err)
	}
	for _, w := range target.Warnings {
		_, _ = fmt.Fprintf(c.streams.stderr(), "kafkaesk: settings: %s\n", w)
	}
	if len(target.Servers) == 0 {
		return connect.Target{}, UsageError(connect.ErrNoServers)
	}
	return target, nil
}

func (c *Connection) resolve() (connect.Target, error) {
	return c.flags.Resolve(c.cmd.Flags(), c.streams.Variable, map[string]any{"client_id": "kafkaesk"})
}

// Client calls do with a connection on which a broker has answered and the topic prefix, and closes the connection.
// The command's --timeout, if it has one, ends ctx.
func (c *Connection) Client(ctx context.Context, do func(context.Context, *kafka.Client, string) error) error {
	target, err := c.Target()
	if err != nil {
		return err
	}
	ctx, cancel, err := c.bounded(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	client, err := kafka.NewClient(target.Servers, target.Settings, c.logger())
	if err != nil {
		return UsageError(err)
	}
	defer client.Close()
	if err := c.reached(ctx, client.CheckVersions); err != nil {
		return err
	}
	return c.ended(ctx, do(ctx, client, target.Prefix))
}

// Inspector is Client for a command that inspects the cluster.
func (c *Connection) Inspector(ctx context.Context, do func(context.Context, *inspect.Inspector) error) error {
	return c.Client(ctx, func(ctx context.Context, client *kafka.Client, prefix string) error {
		return do(ctx, inspect.New(client, prefix))
	})
}

// App calls do with an App on whose connection a broker has answered, and closes the App.
func (c *Connection) App(ctx context.Context, do func(context.Context, *bus.App) error) error {
	target, err := c.Target()
	if err != nil {
		return err
	}
	ctx, cancel, err := c.bounded(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	app := bus.New(bus.Config{
		Servers: target.Servers, TopicPrefix: target.Prefix, Settings: target.Raw, Logger: c.logger(),
	})
	err = c.reached(ctx, app.Initialize)
	if err == nil {
		err = c.ended(ctx, do(ctx, app))
	}
	closing, cancelClose := context.WithTimeout(context.WithoutCancel(ctx), reach)
	defer cancelClose()
	return errors.Join(err, app.Close(closing))
}

// bounded returns ctx with the command's --timeout.
func (c *Connection) bounded(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if c.cmd.Flags().Lookup("timeout") == nil {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	if c.timeout <= 0 {
		return nil, nil, UsageErrorf("--timeout %s: want a duration above zero, like 30s or 2m", c.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	return ctx, cancel, nil
}

// reached waits until a broker has answered.
func (c *Connection) reached(ctx context.Context, ask func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, reach)
	defer cancel()
	err := ask(limited)
	if err != nil && limited.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		return &ExitError{Unreachable, fmt.Errorf("no broker could be reached: %w", err)}
	}
	return err
}

// ended marks an error as a timeout of the brokers.
func (c *Connection) ended(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &ExitError{Unreachable, fmt.Errorf("not done within %s: %w", c.timeout, err)}
	}
	return err
}

// logger writes the connection's warnings and errors to standard error.
func (c *Connection) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.streams.stderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// stderr returns standard error with all text escaped, so that it cannot control the terminal.
func (s Streams) stderr() io.Writer { return logtext.Writer{W: s.Err} }

// completeTime is how long a shell waits for names.
const completeTime = 2 * time.Second

// CompleteStreams completes the names of streams.
func (c *Connection) CompleteStreams(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return c.complete(begun, func(ctx context.Context, client *kafka.Client, prefix string) ([]string, error) {
		cluster, err := client.AllTopics(ctx)
		if err != nil {
			return nil, err
		}
		var names []string
		for topic, t := range cluster.Topics {
			if stream, ok := strings.CutPrefix(topic, prefix); ok && !t.Internal {
				names = append(names, stream)
			}
		}
		return names, nil
	})
}

// CompleteGroups completes the names of groups.
func (c *Connection) CompleteGroups(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return c.complete(begun, func(ctx context.Context, client *kafka.Client, _ string) ([]string, error) {
		return client.Groups(ctx)
	})
}

// Complete returns the names that ask returns and that begin with the typed text.
func (c *Connection) Complete(begun string, ask func(context.Context, *inspect.Inspector) ([]string, error)) (
	[]string, cobra.ShellCompDirective,
) {
	return c.complete(begun, func(ctx context.Context, client *kafka.Client, prefix string) ([]string, error) {
		return ask(ctx, inspect.New(client, prefix))
	})
}

func (c *Connection) complete(begun string, ask func(context.Context, *kafka.Client, string) ([]string, error)) (
	[]string, cobra.ShellCompDirective,
) {
	ctx := c.cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	target, err := c.resolve()
	if err != nil || len(target.Servers) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := kafka.NewClient(target.Servers, target.Settings, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	names, err := ask(ctx, client, target.Prefix)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, begun) })
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
