package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/connect"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// newCompletion returns the command that prints a shell's completion script.
func newCompletion(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish",
		Long: "Completion prints the script for a shell: source <(logtail completion bash). It completes the " +
			"names of streams too.",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"bash", "zsh", "fish"},
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "zsh":
				return cmd.Root().GenZshCompletion(o.out)
			case "fish":
				return cmd.Root().GenFishCompletion(o.out, true)
			}
			return cmd.Root().GenBashCompletionV2(o.out, true)
		},
	}
}

// completeFlags registers the completion of flag values.
func (o *options) completeFlags(cmd *cobra.Command) {
	for flag, values := range map[string][]string{
		"level": {"debug", "info", "warning", "error", "critical"}, "output": {"auto", "pretty", "json", "raw",
			"template"},
		"color": {"auto", "always", "never"}, "from": {"start", "end"}, "time-format": {"short", "full", "rfc3339"},
		"since": {"15m", "1h", "today", "yesterday"}, "until": {"15m", "1h", "today", "yesterday"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string,
		cobra.ShellCompDirective) {
		return connect.ProfileNames(o.getenv), cobra.ShellCompDirectiveNoFileComp
	})
	for _, flag := range []string{"exclude"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, o.completeStreams)
	}
}

// completeTime bounds how long a shell waits for the names of streams.
const completeTime = 2 * time.Second

// completeStreams asks the brokers of the command line for streams that begin with the typed text.
func (o *options) completeStreams(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(cmd)), completeTime)
	defer cancel()
	o.quiet = true
	if o.connection(cmd.Flags()) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := kafka.NewClient(o.servers, o.kafkaSettings, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	cluster, err := client.AllTopics(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for topic := range cluster.Topics {
		stream, ok := strings.CutPrefix(topic, o.prefix)
		if ok && !strings.HasPrefix(topic, "__") && strings.HasPrefix(stream, begun) {
			names = append(names, stream)
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
