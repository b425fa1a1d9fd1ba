package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

// lagOther is the exit code of lag for other failures: 1 means that a limit is exceeded.
const lagOther = 4

// limits are the limits of the lag in each partition.
type limits struct {
	lag            int64
	age            time.Duration
	hasLag, hasAge bool // whether the limit is given
	behind         bool // leave out of what is printed the partitions without a lag
}

func newLag(s cli.Streams) *cobra.Command {
	var l limits
	cmd := &cobra.Command{
		Use:   "lag [GROUP...]",
		Short: "Show the lag of groups, and fail when a limit is exceeded",
		Long: cli.Wrap("lag tells how far groups are behind, by partition: LAG counts records, AGE is how long ago the " +
			"oldest record was written that is not handled yet. Without GROUP these are all groups that read a " +
			"stream of the topic prefix.\n\n" +
			"With --max or --max-age it is a probe for cron and CI. A partition without a committed " +
			"offset, and an age that is not known, exceed no limit. A group that does not exist is an error, and so " +
			"is a partition whose broker does not answer.\n\n" +
			"Exit codes: 0 within the limits, 1 a limit is exceeded, 2 the command line is wrong, 3 no broker " +
			"could be reached or none answered in time, 4 another error."),
		Example: "  kafkaesk lag --behind\n  kafkaesk lag mailer --max 1000 --max-age 5m",
		Args:    cli.AsUsage(cobra.ArbitraryArgs),
	}
	connection, output := cli.ConnectFor(cmd, s), cli.AddOutput(cmd)
	cmd.Flags().Int64Var(&l.lag, "max", 0, "fail when a partition has more than `N` unhandled records")
	cmd.Flags().DurationVar(&l.age, "max-age", 0, "fail when the oldest unhandled record is older than "+
		"a `DURATION`, like 5m")
	cmd.Flags().BoolVar(&l.behind, "behind", false, "print only partitions that have a lag, or whose lag is not known")
	cmd.ValidArgsFunction = connection.CompleteGroups
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := l.check(cmd)
		if err == nil {
			err = output.Check()
		}
		if err != nil {
			return err
		}
		return asLag(connection.Inspector(cmd.Context(), func(ctx context.Context, i *inspect.Inspector) error {
			return l.run(ctx, s, output, i, args)
		}))
	}
	return cmd
}

// asLag sets lag's exit code for an error that has none.
func asLag(err error) error {
	if _, coded := errors.AsType[*cli.ExitError](err); err != nil && !coded {
		return &cli.ExitError{Code: lagOther, Err: err}
	}
	return err
}

// check validates the limits.
func (l *limits) check(cmd *cobra.Command) error {
	l.hasLag, l.hasAge = cmd.Flags().Changed("max"), cmd.Flags().Changed("max-age")
	switch {
	case l.lag < 0:
		return cli.UsageErrorf("--max %d: want a number of records", l.lag)
	case l.age < 0:
		return cli.UsageErrorf("--max-age %s: want a duration like 5m", l.age)
	}
	return nil
}

// run prints the lag, and returns an error when a limit is exceeded.
func (l *limits) run(ctx context.Context, s cli.Streams, output *cli.Output, i *inspect.Inspector,
	names []string,
) error {
	groups, err := i.Groups(ctx, names...)
	if err != nil {
		return err
	}
	if err := mustExist(groups); err != nil {
		return err
	}
	rows := []inspect.Lag{}
	for _, g := range groups {
		rows = append(rows, g.Partitions...)
	}
	printed := rows
	if l.behind {
		printed = slices.DeleteFunc(slices.Clone(rows), func(r inspect.Lag) bool { return r.Lag != nil && *r.Lag == 0 })
	}
	if err := cli.Print(s, output, printed, lagColumns()); err != nil {
		return err
	}
	return l.compare(ctx, rows)
}

// compare returns an error when a limit is exceeded. It returns another error when the lag is unknown, because the
// broker of the records does not answer or the timeout has passed: a probe must not succeed then.
func (l *limits) compare(ctx context.Context, rows []inspect.Lag) error {
	if exceeded := l.exceeded(rows); len(exceeded) > 0 {
		return &cli.ExitError{Code: cli.Failed, Err: errors.New(strings.Join(exceeded, "; "))}
	}
	if !l.hasLag && !l.hasAge {
		return nil
	}
	for _, r := range rows {
		if r.Committed != nil && r.End == nil {
			return fmt.Errorf("group %s, %s/%d: cannot compare with the limits: %s", r.Group, r.Stream,
				r.Partition, r.Note)
		}
	}
	return context.Cause(ctx)
}

// exceeded lists the partitions that exceed a limit.
func (l *limits) exceeded(rows []inspect.Lag) []string {
	var exceeded []string
	for _, r := range rows {
		where := fmt.Sprintf("group %s, %s/%d", r.Group, r.Stream, r.Partition)
		if l.hasLag && r.Lag != nil && *r.Lag > l.lag {
			exceeded = append(exceeded, fmt.Sprintf("%s: lag %d is above %d", where, *r.Lag, l.lag))
		}
		if l.hasAge && r.AgeSeconds != nil && *r.AgeSeconds > l.age.Seconds() {
			exceeded = append(exceeded, fmt.Sprintf("%s: age %s is above %s", where, cli.Seconds(r.AgeSeconds), l.age))
		}
	}
	return exceeded
}

func lagColumns() []cli.Column[inspect.Lag] {
	return []cli.Column[inspect.Lag]{
		{Head: "GROUP", Text: func(r inspect.Lag) string { return r.Group }},
		{Head: "STREAM", Text: func(r inspect.Lag) string { return r.Stream }},
		{Head: "PARTITION", Number: true, Text: func(r inspect.Lag) string { return strconv.Itoa(int(r.Partition)) }},
		{Head: "COMMITTED", Number: true, Text: func(r inspect.Lag) string { return cli.Number(r.Committed) }},
		{Head: "END", Number: true, Text: func(r inspect.Lag) string { return cli.Number(r.End) }},
		{Head: "LAG", Number: true, Text: func(r inspect.Lag) string { return cli.Number(r.Lag) }},
		{Head: "AGE", Number: true, Text: func(r inspect.Lag) string { return cli.Seconds(r.AgeSeconds) }},
		{Head: "CLIENT", Text: func(r inspect.Lag) string { return orDash(r.ClientID) }},
		{Head: "NOTE", Text: func(r inspect.Lag) string { return r.Note }},
	}
}
