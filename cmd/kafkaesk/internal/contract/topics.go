package contract

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/topicplan"
)

func newTopics(s cli.Streams, apps Apps) *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "Compare and create the topics that an app needs",
		Args: cli.AsUsage(cobra.NoArgs)}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(newTopicsPlan(s, apps), newTopicsApply(s, apps))
	return cmd
}

const topicsRules = "These are the topics of the streams that its schemas declare, with partitions, retention and " +
	"settings, and those that records\ngo to which a subscription with dead letters gives up. A schema that does not " +
	"say a value takes any. The servers and the prefix are\nthe app's own, unless the command line says others."

func newTopicsPlan(s cli.Streams, apps Apps) *cobra.Command {
	var grow, exitCode bool
	cmd := &cobra.Command{
		Use:   "plan [flags] ./pkg:App",
		Short: "Compare the topics that an app needs with those that exist, and change nothing",
		Long: "plan compares the topics that an app needs with those that exist, and changes nothing.\n" +
			topicsRules + "\n\n" +
			"ACTION is create or alter for what apply does, manual for what it leaves to you, and keep.",
		Example: "  kafkaesk topics plan ./orders:App\n  kafkaesk topics plan --exit-code -o json ./orders:App",
	}
	a, connection, output := targetCommand(cmd, apps), cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	addGrow(cmd, &grow)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when any action is not keep")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.planned(cmd, s, connection, output, args[0], grow, func(_ context.Context, _ *kafka.Client,
			rows []topicplan.Row) error {
			if err := cli.Print(s, output, rows, planColumns(false)); err != nil {
				return err
			}
			if exitCode && topicplan.Changes(rows) {
				return cli.Exit(cli.Failed)
			}
			return nil
		})
	}
	return cmd
}

func newTopicsApply(s cli.Streams, apps Apps) *cobra.Command {
	var grow bool
	cmd := &cobra.Command{
		Use:   "apply [flags] ./pkg:App",
		Short: "Create the topics that an app needs, and change settings that differ",
		Long: "apply creates the topics that an app needs and that are missing, and sets the settings that differ.\n" +
			topicsRules + "\n\n" +
			"It deletes nothing, and adds partitions only with --add-partitions. Exit code 1: something could not be done; " +
			"the rest is.",
		Example: "  kafkaesk topics apply ./orders:App",
	}
	a, connection, output := targetCommand(cmd, apps), cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	addGrow(cmd, &grow)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.planned(cmd, s, connection, output, args[0], grow, func(ctx context.Context, client *kafka.Client,
			rows []topicplan.Row) error {
			failed := topicplan.Apply(ctx, client, rows)
			if err := cli.Print(s, output, rows, planColumns(true)); err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("%d changes failed", failed)
			}
			return nil
		})
	}
	return cmd
}

func addGrow(cmd *cobra.Command, grow *bool) {
	cmd.Flags().BoolVar(grow, "add-partitions", false, "add partitions where a topic has too few: keys then move to "+
		"other partitions")
}

// planned creates the plan of an App, and calls do with it.
func (a *app) planned(cmd *cobra.Command, s cli.Streams, connection *cli.Connection, output *cli.Output,
	target string, grow bool,
	do func(context.Context, *kafka.Client, []topicplan.Row) error,
) error {
	if err := output.Check(); err != nil {
		return err
	}
	described, err := a.describe(cmd.Context(), target)
	if err == nil {
		err = connectAs(cmd, s, described)
	}
	if err != nil {
		return err
	}
	return connection.Client(cmd.Context(), func(ctx context.Context, client *kafka.Client, prefix string) error {
		rows, err := topicplan.New(ctx, client, described, prefix, grow)
		if err != nil {
			return err
		}
		return do(ctx, client, rows)
	})
}

func planColumns(applied bool) []cli.Column[topicplan.Row] {
	columns := []cli.Column[topicplan.Row]{
		{Head: "ACTION", Text: func(r topicplan.Row) string { return r.Action }},
		{Head: "STREAM", Text: func(r topicplan.Row) string { return r.Stream }},
		{Head: "SETTING", Text: func(r topicplan.Row) string { return r.Setting }},
		{Head: "CURRENT", Text: func(r topicplan.Row) string {
			if r.Current == nil {
				return "-"
			}
			return *r.Current
		}},
		{Head: "NEEDED", Text: func(r topicplan.Row) string { return orDash(r.Needed) }},
	}
	if applied {
		columns = append(columns, cli.Column[topicplan.Row]{Head: "DONE", Text: done})
	}
	return append(columns, cli.Column[topicplan.Row]{Head: "NOTE", Text: func(r topicplan.Row) string {
		if r.Error != "" {
			return r.Error
		}
		return r.Note
	}})
}

func done(r topicplan.Row) string {
	switch {
	case r.Done == nil:
		return "-"
	case *r.Done:
		return "yes"
	}
	return "no"
}
