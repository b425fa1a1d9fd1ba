package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// resetRow is the reset of one partition.
type resetRow struct {
	Group     string `json:"group"`
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	// Committed is the group's committed offset; null for none.
	Committed *int64 `json:"committed"`
	// To is the new offset.
	To int64 `json:"to"`
	// Start and End are the first offset and the end of the partition.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// reset holds the flags of groups reset.
type reset struct {
	to      []string
	streams []string // patterns
	dryRun  bool
	now     time.Time

	group  string
	prefix string
}

func newReset(s cli.Streams) *cobra.Command {
	r := reset{now: time.Now()}
	cmd := &cobra.Command{
		Use:   "reset GROUP --to start|end|TIME|STREAM/PARTITION@OFFSET",
		Short: "Set the offsets of a group without members",
		Long: cli.Wrap("reset writes the offsets of a group that has no members: where it goes on when it runs again. " +
			"start, end and TIME count for all partitions of the streams that the group has committed offsets " +
			"of, or of those that --stream names. TIME is like 2026-01-02T15:04:05Z, or how long ago it was, " +
			"like 24h: the first record of that time or later comes first. STREAM/PARTITION@OFFSET, as errors " +
			"name a record, is for that partition alone."),
		Example: "  kafkaesk groups reset mailer --to 2h --dry-run\n" +
			"  kafkaesk groups reset mailer --to content.edited/3@1200 --to content.edited/4@980",
		Args: cli.Exactly(1),
	}
	connection, output := cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	cmd.ValidArgsFunction = connection.CompleteGroups
	cmd.Flags().StringArrayVar(&r.to, "to", nil, "the new offset: start, end, a time, or a `POSITION` such as "+
		"content/3@1200, which may be repeated")
	cmd.Flags().StringArrayVar(&r.streams, "stream", nil, "only streams that match `PATTERN`, including those "+
		"without committed offsets; may be repeated")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "only print the new offsets")
	_ = cmd.RegisterFlagCompletionFunc("stream", connection.CompleteStreams)
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"start", "end", "1h", "24h"},
		cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.group = args[0]
		target, err := r.target()
		if err == nil {
			err = output.Check()
		}
		if err != nil {
			return err
		}
		return connection.Client(cmd.Context(), func(ctx context.Context, client *kafka.Client, prefix string) error {
			r.prefix = prefix
			rows, err := r.run(ctx, client, target)
			if err != nil {
				return err
			}
			if err := cli.Print(s, output, rows, resetColumns()); err != nil {
				return err
			}
			if r.dryRun {
				_, err = fmt.Fprintln(s.Err, "kafkaesk: nothing was written (--dry-run)")
			}
			return err
		})
	}
	return cmd
}

// resetTarget is the parsed --to: offsets of single partitions, or one position for all.
type resetTarget struct {
	offsets map[inspect.Partition]int64
	at      int64 // kafka.FirstOffset, kafka.EndOffset or a time in milliseconds
}

// target parses --to.
func (r *reset) target() (resetTarget, error) {
	t := resetTarget{offsets: make(map[inspect.Partition]int64)}
	for _, to := range r.to {
		p, offset, ok := parsePosition(to)
		if _, twice := t.offsets[p]; ok && twice {
			return t, cli.UsageErrorf("--to: %s/%d is given twice", p.Stream, p.Partition)
		}
		if ok {
			t.offsets[p] = offset
			continue
		}
		switch to {
		case "start":
			t.at = kafka.FirstOffset
		case "end":
			t.at = kafka.EndOffset
		default:
			at, err := parseTime(to, r.now)
			if err != nil {
				return t, cli.UsageErrorf("--to: %w, or start, end, STREAM/PARTITION@OFFSET", err)
			}
			t.at = max(at.UnixMilli(), 1)
		}
	}
	switch {
	case len(r.to) == 0:
		return t, cli.UsageErrorf("which offsets? Give --to start, end, a time, or " +
			"STREAM/PARTITION@OFFSET")
	case t.at != 0 && len(r.to) > 1:
		return t, cli.UsageErrorf("--to: only STREAM/PARTITION@OFFSET may be repeated")
	case t.at == 0 && len(r.streams) > 0:
		return t, cli.UsageErrorf("--stream: STREAM/PARTITION@OFFSET names its stream itself")
	}
	return t, nil
}

// parseTime parses a time in RFC 3339, or a duration ago.
func parseTime(value string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(value); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: give one like 2026-01-02T15:04:05Z, or how long ago "+
		"it was, like 24h", value)
}

// parsePosition parses STREAM/PARTITION@OFFSET.
func parsePosition(text string) (p inspect.Partition, offset int64, ok bool) {
	stream, rest, slash := strings.Cut(text, "/")
	partition, at, sign := strings.Cut(rest, "@")
	n, err := strconv.ParseInt(partition, 10, 32)
	offset, err2 := strconv.ParseInt(at, 10, 64)
	ok = slash && sign && stream != "" && err == nil && err2 == nil && n >= 0 && offset >= 0
	return inspect.Partition{Stream: stream, Partition: int32(n)}, offset, ok
}

// run determines the new offsets, and writes them unless it is a dry run.
func (r *reset) run(ctx context.Context, client *kafka.Client, target resetTarget) ([]resetRow, error) {
	if err := r.checkEmpty(ctx, client); err != nil {
		return nil, err
	}
	committed, err := client.Committed(ctx, r.group)
	if err != nil {
		return nil, err
	}
	parts, err := r.partitions(ctx, client, target, committed)
	if err != nil {
		return nil, err
	}
	rows, err := r.rows(ctx, client, target, parts)
	if err != nil {
		return nil, err
	}
	written := make(map[kafka.TopicPartition]int64, len(rows))
	for n := range rows {
		tp := kafka.TopicPartition{Topic: r.prefix + rows[n].Stream, Partition: rows[n].Partition}
		if offset, ok := committed[tp]; ok {
			rows[n].Committed = &offset
		}
		written[tp] = rows[n].To
	}
	if r.dryRun {
		return rows, nil
	}
	return rows, client.ResetOffsets(ctx, r.group, written)
}

// checkEmpty returns an error for a group with members: while it has members, only they can commit.
func (r *reset) checkEmpty(ctx context.Context, client *kafka.Client) error {
	d, err := client.DescribeGroup(ctx, r.group)
	if err != nil {
		return err
	}
	if len(d.Members) == 0 {
		return nil
	}
	first := d.Members[0]
	return fmt.Errorf("group %q has %s, the first is %s at %s: stop all of its programs first, as their commits would "+
		"overwrite the new offsets", r.group, cliflags.Count(len(d.Members), "member"), first.ClientID,
		strings.TrimPrefix(first.Host, "/"))
}

// partitions returns the partitions to reset.
func (r *reset) partitions(ctx context.Context, client *kafka.Client, target resetTarget,
	committed map[kafka.TopicPartition]int64,
) ([]kafka.TopicPartition, error) {
	cluster, err := client.AllTopics(ctx)
	if err != nil {
		return nil, err
	}
	if target.at == 0 {
		return r.placed(cluster, target)
	}
	wanted, err := r.wanted(committed)
	if err != nil {
		return nil, err
	}
	var parts []kafka.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
		stream, ours := strings.CutPrefix(name, r.prefix)
		if !ours || cluster.Topics[name].Internal || !wanted(stream) {
			continue
		}
		for p := range cluster.Topics[name].Leaders {
			parts = append(parts, kafka.TopicPartition{Topic: name, Partition: int32(p)})
		}
	}
	if len(parts) == 0 && len(r.streams) > 0 {
		return nil, fmt.Errorf("no stream matches %s", strings.Join(r.streams, ", "))
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("group %q has committed no offset of a stream: name the streams with --stream", r.group)
	}
	return parts, nil
}

// placed returns the partitions that --to names, which must exist.
func (r *reset) placed(cluster *kafka.Cluster, target resetTarget) ([]kafka.TopicPartition, error) {
	var parts []kafka.TopicPartition
	for p := range target.offsets {
		topic := cluster.Topics[r.prefix+p.Stream]
		if topic == nil {
			return nil, fmt.Errorf("no stream %q: kafkaesk streams lists the existing ones", p.Stream)
		}
		if int(p.Partition) >= len(topic.Leaders) {
			return nil, fmt.Errorf("stream %q has the partitions 0 to %d, not %d", p.Stream, len(topic.Leaders)-1,
				p.Partition)
		}
		parts = append(parts, kafka.TopicPartition{Topic: r.prefix + p.Stream, Partition: p.Partition})
	}
	slices.SortFunc(parts, kafka.TopicPartition.Compare)
	return parts, nil
}

// wanted returns a matcher of the selected streams: those of --stream, or else those with committed offsets of the
// group.
func (r *reset) wanted(committed map[kafka.TopicPartition]int64) (func(stream string) bool, error) {
	if len(r.streams) == 0 {
		return func(stream string) bool {
			for tp := range committed {
				if tp.Topic == r.prefix+stream {
					return true
				}
			}
			return false
		}, nil
	}
	patterns := make([]fnmatch.Pattern, len(r.streams))
	for n, text := range r.streams {
		var err error
		if patterns[n], err = fnmatch.Compile("", text); err != nil {
			return nil, cli.UsageErrorf("--stream %q: %w", text, err)
		}
	}
	return func(stream string) bool {
		return slices.ContainsFunc(patterns, func(p fnmatch.Pattern) bool { return p.Match(stream) })
	}, nil
}

// rows determines the bounds and the new offset of each partition.
func (r *reset) rows(ctx context.Context, client *kafka.Client, target resetTarget, parts []kafka.TopicPartition) (
	[]resetRow, error,
) {
	starts, err := client.ListOffsets(ctx, parts, kafka.FirstOffset)
	if err != nil {
		return nil, err
	}
	ends, err := client.ListHighWatermarks(ctx, parts)
	if err != nil {
		return nil, err
	}
	to := starts
	switch {
	case target.at == kafka.EndOffset:
		to = ends
	case target.at > 0:
		if to, err = client.ListOffsets(ctx, parts, target.at); err != nil {
			return nil, err
		}
	}
	rows := make([]resetRow, len(parts))
	var errs []error
	for n, tp := range parts {
		row := &rows[n]
		*row = resetRow{Group: r.group, Stream: strings.TrimPrefix(tp.Topic, r.prefix), Partition: tp.Partition, To: to[tp],
			Start: starts[tp], End: ends[tp]}
		if target.at == 0 {
			row.To = target.offsets[inspect.Partition{Stream: row.Stream, Partition: row.Partition}]
		}
		if target.at > 0 && row.To < 0 {
			row.To = row.End // no record is as late
		}
		if row.To < row.Start || row.To > row.End {
			errs = append(errs, fmt.Errorf("%s/%d@%d: the partition has the offsets %d to %d", row.Stream, row.Partition, row.To,
				row.Start, row.End))
		}
	}
	return rows, errors.Join(errs...)
}

func resetColumns() []cli.Column[resetRow] {
	number := func(head string, get func(resetRow) int64) cli.Column[resetRow] {
		text := func(r resetRow) string { return cli.Number(new(get(r))) }
		return cli.Column[resetRow]{Head: head, Number: true, Text: text}
	}
	return []cli.Column[resetRow]{
		{Head: "STREAM", Text: func(r resetRow) string { return r.Stream }},
		number("PARTITION", func(r resetRow) int64 { return int64(r.Partition) }),
		{Head: "COMMITTED", Number: true, Text: func(r resetRow) string { return cli.Number(r.Committed) }},
		number("TO", func(r resetRow) int64 { return r.To }),
		number("START", func(r resetRow) int64 { return r.Start }),
		number("END", func(r resetRow) int64 { return r.End }),
	}
}
