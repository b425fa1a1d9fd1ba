package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/acls"
)

// aclOptions are the flags of `kafkaesk acls`.
type aclOptions struct {
	tags, prefix, principal string
	commands                bool
	needs                   acls.Options
}

func newACLs(streams Streams) *cobra.Command {
	var o aclOptions
	cmd := &cobra.Command{
		Use:   "acls ./pkg:App",
		Short: "List the ACLs that an app needs",
		Long: cli.Wrap("acls lists what the brokers have to allow an app: for the streams of its schemas, its " +
			"subscriptions and their dead letters and retries. Streams that it writes without a schema, those " +
			"of logs say, are not declared: name them by --publish. No broker is asked. With --commands it " +
			"prints the lines of kafka-acls that allow it.\n\n" +
			"Kafka has prefixes and no patterns: where a subscription's pattern has a * before its end, the " +
			"ACL is wider than the pattern."),
		Example: "  kafkaesk acls ./orders:App --publish logs.orders\n" +
			"  kafkaesk acls ./orders:App --commands --principal User:orders",
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completeTarget,
		Args:                  cli.Exactly(1),
	}
	output := cli.AddOutput(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.prefix, "topic-prefix", "", "`PREFIX` of the topics' names (default: the app's)")
	flags.StringArrayVar(&o.needs.Publish, "publish", nil, "also allow writing `STREAM`; may be repeated")
	flags.BoolVar(&o.needs.NoCreate, "no-create", false, "the topics exist: the app does not create them")
	flags.BoolVar(&o.needs.Replay, "replay", false, "also allow kafkaesk dead replay and dead drop")
	flags.BoolVar(&o.commands, "commands", false, "print commands of kafka-acls")
	flags.StringVar(&o.principal, "principal", "User:app", "the principal in --commands")
	addTags(flags, &o.tags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		if o.commands && output.JSON() {
			return cli.UsageError(errors.New("--commands prints commands and not JSON: give one of them"))
		}
		app, err := describeApp(cmd.Context(), args[0], o.tags, streams)
		if err != nil {
			return err
		}
		o.needs.Prefix = cmp.Or(o.prefix, app.TopicPrefix)
		needed := acls.Needed(app, o.needs)
		if !o.commands {
			return cli.Print(streams, output, needed, aclColumns())
		}
		for _, a := range needed {
			if _, err := fmt.Fprintln(streams.Out, aclCommand(a, o.principal)); err != nil {
				return fmt.Errorf("writing the commands: %w", err)
			}
		}
		return nil
	}
	return cmd
}

func aclColumns() []cli.Column[acls.ACL] {
	return []cli.Column[acls.ACL]{
		{Head: "RESOURCE", Text: func(a acls.ACL) string { return a.Resource }},
		{Head: "NAME", Text: func(a acls.ACL) string { return a.Name }},
		{Head: "PATTERN", Text: func(a acls.ACL) string { return a.Pattern }},
		{Head: "OPERATIONS", Text: func(a acls.ACL) string { return strings.Join(a.Operations, ",") }},
		{Head: "WHY", Text: func(a acls.ACL) string { return a.Why }},
	}
}

// aclCommand returns the kafka-acls command that allows a.
func aclCommand(a acls.ACL, principal string) string {
	var b strings.Builder
	b.WriteString("kafka-acls --bootstrap-server \"$KAFKA\" --add --allow-principal " + quoteShell(principal))
	for _, op := range a.Operations {
		b.WriteString(" --operation " + op)
	}
	fmt.Fprintf(&b, " --%s %s", a.Resource, quoteShell(a.Name))
	if a.Pattern != acls.Literal {
		b.WriteString(" --resource-pattern-type " + a.Pattern)
	}
	return b.String()
}

// quoteShell quotes a word for a shell.
func quoteShell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
