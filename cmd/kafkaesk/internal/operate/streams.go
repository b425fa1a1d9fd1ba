package operate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

func newStreams(s cli.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "streams [PATTERN]",
		Short: "List streams: partitions, records, retention, last record",
		Long: cli.Wrap("streams lists the streams of the topic prefix, or those that match PATTERN, in which * stands for " +
			"any text. RECORDS counts offsets: more than there are records where a topic is compacted, or " +
			"transactions are used."),
		Example: "  kafkaesk streams\n  kafkaesk streams 'content.*' -o json",
		Args:    cli.AsUsage(cobra.MaximumNArgs(1)),
	}
	connection, output := cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	cmd.ValidArgsFunction = connection.CompleteStreams
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		pattern := "*"
		if len(args) == 1 {
			pattern = args[0]
		}
		match, err := fnmatch.Compile("", pattern)
		if err != nil {
			return cli.UsageErrorf("pattern %q: %w", pattern, err)
		}
		return connection.Inspector(cmd.Context(), func(ctx context.Context, i *inspect.Inspector) error {
			streams, err := i.Streams(ctx, match.Match)
			if err != nil {
				return err
			}
			return cli.Print(s, output, streams, streamColumns())
		})
	}
	return cmd
}

func streamColumns() []cli.Column[inspect.Stream] {
	return []cli.Column[inspect.Stream]{
		{Head: "STREAM", Text: func(s inspect.Stream) string { return s.Stream }},
		{Head: "PARTITIONS", Number: true, Text: partitionsOf},
		{Head: "REPLICAS", Number: true, Text: func(s inspect.Stream) string { return strconv.Itoa(s.ReplicationFactor) }},
		{Head: "RECORDS", Number: true, Text: func(s inspect.Stream) string { return cli.Number(s.Records) }},
		{Head: "RETENTION", Text: retentionOf},
		{Head: "CLEANUP", Text: func(s inspect.Stream) string { return orDash(s.CleanupPolicy) }},
		{Head: "LAST RECORD", Text: func(s inspect.Stream) string { return cli.Time(s.LastRecordTime) }},
	}
}

func partitionsOf(s inspect.Stream) string {
	if s.WithoutLeader > 0 {
		return fmt.Sprintf("%d (%d without a leader)", s.Partitions, s.WithoutLeader)
	}
	return strconv.Itoa(s.Partitions)
}

func retentionOf(s inspect.Stream) string {
	if s.RetentionMS == nil {
		return "-"
	}
	return cli.Duration(time.Duration(*s.RetentionMS) * time.Millisecond)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
