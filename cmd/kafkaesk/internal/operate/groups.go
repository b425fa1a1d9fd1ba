package operate

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

func newGroups(s cli.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "groups [GROUP]",
		Short: "List consumer groups: state, members, streams, lag; or the members of one group",
		Long: cli.Wrap("groups lists the consumer groups that read streams of the topic prefix. With GROUP it lists the " +
			"members of that group and their partitions; as JSON it is the same object in both cases, members " +
			"and partitions included."),
		Example: "  kafkaesk groups\n  kafkaesk groups mailer",
		Args:    cli.AsUsage(cobra.MaximumNArgs(1)),
	}
	connection, output := cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	cmd.ValidArgsFunction = connection.CompleteGroups
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		return connection.Inspector(cmd.Context(), func(ctx context.Context, i *inspect.Inspector) error {
			groups, err := i.Groups(ctx, args...)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return cli.Print(s, output, groups, groupColumns())
			}
			if err := mustExist(groups); err != nil {
				return err
			}
			if output.JSON() {
				return cli.PrintJSON(s, groups)
			}
			return cli.Print(s, output, groups[0].Members, memberColumns())
		})
	}
	cmd.AddCommand(newReset(s))
	return cmd
}

// mustExist returns an error for a group that does not exist.
func mustExist(groups []inspect.Group) error {
	for _, g := range groups {
		if g.State == inspect.StateDead && len(g.Partitions) == 0 {
			return &noGroupError{g.Group}
		}
	}
	return nil
}

// noGroupError says that a group does not exist.
type noGroupError struct{ group string }

func (e *noGroupError) Error() string {
	return "no group " + strconv.Quote(e.group) + ": kafkaesk groups lists the existing ones"
}

func groupColumns() []cli.Column[inspect.Group] {
	return []cli.Column[inspect.Group]{
		{Head: "GROUP", Text: func(g inspect.Group) string { return g.Group }},
		{Head: "STATE", Text: func(g inspect.Group) string { return g.State }},
		{Head: "MEMBERS", Number: true, Text: func(g inspect.Group) string { return strconv.Itoa(len(g.Members)) }},
		{Head: "PARTITIONS", Number: true, Text: func(g inspect.Group) string { return strconv.Itoa(len(g.Partitions)) }},
		{Head: "LAG", Number: true, Text: func(g inspect.Group) string { return cli.Number(g.Lag) }},
		{Head: "AGE", Number: true, Text: func(g inspect.Group) string { return cli.Seconds(g.AgeSeconds) }},
		{Head: "STREAMS", Text: func(g inspect.Group) string { return cli.List(g.Streams) }},
	}
}

func memberColumns() []cli.Column[inspect.Member] {
	return []cli.Column[inspect.Member]{
		{Head: "MEMBER", Text: func(m inspect.Member) string { return m.MemberID }},
		{Head: "CLIENT", Text: func(m inspect.Member) string { return orDash(m.ClientID) }},
		{Head: "HOST", Text: func(m inspect.Member) string { return orDash(m.Host) }},
		{Head: "PARTITIONS", Text: assignedTo},
	}
}

// assignedTo formats a member's partitions as stream[0,1,2].
func assignedTo(m inspect.Member) string {
	if len(m.Partitions) == 0 {
		return "-"
	}
	var b strings.Builder
	for n, p := range m.Partitions {
		switch {
		case n == 0:
			b.WriteString(p.Stream + "[")
		case m.Partitions[n-1].Stream != p.Stream:
			b.WriteString("] " + p.Stream + "[")
		default:
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(p.Partition)))
	}
	return b.String() + "]"
}
