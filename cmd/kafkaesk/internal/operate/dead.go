package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// deadRow summarizes the dead letters of a stream and a group.
type deadRow struct {
	Stream   string         `json:"stream"`
	Group    string         `json:"group"`
	Records  int            `json:"records"`
	Open     int            `json:"open"`
	Replayed int            `json:"replayed"`
	Dropped  int            `json:"dropped"`
	Oldest   *time.Time     `json:"oldest"` // of the open ones
	Newest   *time.Time     `json:"newest"`
	Errors   map[string]int `json:"errors"` // of the open ones, by kind
}

func newDead(s cli.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List the records that groups have given up, and replay or drop them",
		Long: cli.Wrap("dead lists the dead letters of each stream and group: how many there are, how many are open, " +
			"replayed and dropped, and the oldest, the newest and the errors of those that are open. Errors " +
			"are counted by kind: the error's type, or its text where the type says nothing, with # for " +
			"numbers. It reads all dead letters.\n\n" +
			"Exit codes: 0 all were read, 1 an error, 2 the command line is wrong, 3 no broker could be reached, 4 some " +
			"could not be read: standard error says which, and the others are listed."),
		Example: "  kafkaesk dead\n  kafkaesk dead show content.edited mailer\n" +
			"  kafkaesk dead replay content.edited mailer --where 'error~timeout' --dry-run",
		Args: cli.AsUsage(cobra.NoArgs),
	}
	connection, output := cli.Connect(cmd, s), cli.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		return connection.App(cmd.Context(), func(ctx context.Context, app *bus.App) error {
			rows, unread, err := deadRows(ctx, app)
			if err != nil {
				return err
			}
			if err := cli.Print(s, output, rows, deadColumns()); err != nil {
				return err
			}
			return unread
		})
	}
	cmd.AddCommand(newDeadShow(s), newDeadReplay(s), newDeadDrop(s))
	return cmd
}

// deadRows reads all dead letters. The error unread says which could not be read; they have no row.
func deadRows(ctx context.Context, app *bus.App) (rows []deadRow, unread, err error) {
	streams, err := app.DeadLetterStreams(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows = []deadRow{}
	var failed []error
	for _, d := range streams {
		row, err := readDead(ctx, app, d)
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case err != nil:
			failed = append(failed, fmt.Errorf("dead letters of stream %q and group %q: %w", d.Stream, d.Group, err))
		default:
			rows = append(rows, row)
		}
	}
	if len(failed) > 0 {
		unread = &cli.ExitError{Code: cli.Incomplete, Err: errors.Join(failed...)}
	}
	return rows, unread, nil
}

// readDead reads the dead letters of one stream and group.
func readDead(ctx context.Context, app *bus.App, d bus.DeadLetterStream) (deadRow, error) {
	row := deadRow{Stream: d.Stream, Group: d.Group, Errors: make(map[string]int)}
	for record, err := range app.DeadLetters(ctx, d.Stream, d.Group) {
		if err != nil {
			return row, err
		}
		row.count(record)
	}
	return row, nil
}

func (row *deadRow) count(d *bus.DeadLetterRecord) {
	row.Records++
	switch d.State {
	case bus.DeadLetterReplayed:
		row.Replayed++
		return
	case bus.DeadLetterDropped:
		row.Dropped++
		return
	}
	row.Open++
	if at := givenUp(d); at != nil {
		if row.Oldest == nil || at.Before(*row.Oldest) {
			row.Oldest = at
		}
		if row.Newest == nil || at.After(*row.Newest) {
			row.Newest = at
		}
	}
	kind := errorKind(d)
	if _, known := row.Errors[kind]; !known && len(row.Errors) >= mostKinds {
		kind = "other"
	}
	row.Errors[kind]++
}

// givenUp returns when a record failed for good, or its own time without that header; nil for none, and for a time
// that JSON cannot represent.
func givenUp(d *bus.DeadLetterRecord) *time.Time {
	at := cmp.Or(d.FailedTime, d.Record.Time).UTC()
	if at.IsZero() || at.Year() < 0 || at.Year() > 9999 {
		return nil
	}
	return &at
}

const (
	// mostKinds bounds the kinds of errors of a stream and a group.
	mostKinds = 100
	// kindLength bounds the text of a kind.
	kindLength = 60
)

// errorKind returns the type of the error, or, for a type of the standard library that any text may have, the
// beginning of the text with # for each number.
func errorKind(d *bus.DeadLetterRecord) string {
	switch d.ErrorType {
	case "", "*errors.errorString", "*fmt.wrapError", "*fmt.wrapErrors", "*errors.joinError":
	default:
		return d.ErrorType
	}
	var b strings.Builder
	number := false
	for _, r := range strings.TrimPrefix(d.Error, "rejected: ") {
		if b.Len() >= kindLength || r == '\n' {
			break
		}
		digit := unicode.IsDigit(r)
		if digit && number {
			continue
		}
		if number = digit; digit {
			r = '#'
		}
		b.WriteRune(r)
	}
	return cmp.Or(b.String(), "without an error")
}

func deadColumns() []cli.Column[deadRow] {
	number := func(head string, get func(deadRow) int) cli.Column[deadRow] {
		text := func(r deadRow) string { return strconv.Itoa(get(r)) }
		return cli.Column[deadRow]{Head: head, Number: true, Text: text}
	}
	return []cli.Column[deadRow]{
		{Head: "STREAM", Text: func(r deadRow) string { return r.Stream }},
		{Head: "GROUP", Text: func(r deadRow) string { return r.Group }},
		number("RECORDS", func(r deadRow) int { return r.Records }),
		number("OPEN", func(r deadRow) int { return r.Open }),
		number("REPLAYED", func(r deadRow) int { return r.Replayed }),
		number("DROPPED", func(r deadRow) int { return r.Dropped }),
		{Head: "OLDEST", Text: func(r deadRow) string { return cli.Time(r.Oldest) }},
		{Head: "NEWEST", Text: func(r deadRow) string { return cli.Time(r.Newest) }},
		{Head: "ERRORS", Text: errorsOf},
	}
}

// errorsOf formats the kinds of errors, the most frequent first.
func errorsOf(r deadRow) string {
	kinds := slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Errors[b], r.Errors[a]), strings.Compare(a, b))
	})
	const most = 3
	var texts []string
	for n, kind := range kinds {
		if n == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(kinds)-most))
			break
		}
		texts = append(texts, fmt.Sprintf("%d %s", r.Errors[kind], kind))
	}
	return orDash(strings.Join(texts, "; "))
}

// selecting holds the flags that select dead letters.
type selecting struct {
	where  []string
	limit  int
	dryRun bool
}

// newDeadAction makes a command that does something with dead letters.
func newDeadAction(s cli.Streams, cmd *cobra.Command, done, would string,
	do func(*bus.App, context.Context, string, string, bus.DeadLetterSelection) (bus.DeadLetterCount, error),
) *cobra.Command {
	var o selecting
	cmd.Args = cli.Exactly(2)
	connection := cli.Connect(cmd, s)
	cmd.ValidArgsFunction = completeDead(connection)
	cmd.Flags().StringArrayVar(&o.where, "where", nil, whereHelp)
	cmd.Flags().IntVar(&o.limit, "limit", 0, "process at most `N`; 0: no limit")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only print how many there are")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		selection, err := o.selection()
		if err != nil {
			return err
		}
		return connection.App(cmd.Context(), func(ctx context.Context, app *bus.App) error {
			count, err := do(app, ctx, args[0], args[1], selection)
			if err != nil {
				return deadError(err)
			}
			n, verb := count.Done, done
			if o.dryRun {
				n, verb = count.Selected, would
			}
			_, err = fmt.Fprintf(s.Err, "kafkaesk: %s %d of %s\n", verb, n, cliflags.Count(count.Open, "open dead letter"))
			return err
		})
	}
	return cmd
}

func (o *selecting) selection() (bus.DeadLetterSelection, error) {
	if o.limit < 0 {
		return bus.DeadLetterSelection{}, cli.UsageErrorf("--limit %d: want a number of at least 0", o.limit)
	}
	where, err := parseWhere(o.where, time.Now())
	if err != nil {
		return bus.DeadLetterSelection{}, cli.UsageError(err)
	}
	return bus.DeadLetterSelection{Where: where, Limit: o.limit, DryRun: o.dryRun}, nil
}

func newDeadReplay(s cli.Streams) *cobra.Command {
	return newDeadAction(s, &cobra.Command{
		Use:   "replay STREAM GROUP",
		Short: "Have a group handle its dead letters again",
		Long: cli.Wrap("replay gives the open dead letters of STREAM and GROUP to that group again, and to no other. Key " +
			"and value are unchanged, and records of one key keep their order. The group's subscription reads " +
			"them from STREAM.GROUP.replay; it needs not run now. What --where and --limit leave out stays " +
			"open.\n\n" +
			"Progress is kept in STREAM.GROUP.replay.log: after an error or a kill, the same command goes on, " +
			"and repeats 100 records at most. While one runs, another replay or drop of STREAM and GROUP is " +
			"refused, and says where the first one runs. To that end it joins the consumer group " +
			"STREAM.GROUP.replay. After a kill the next one waits until the session of the first is over, 10 " +
			"seconds by default."),
		Example: "  kafkaesk dead replay content.edited mailer --where 'error~timeout' --limit 10",
	}, "replayed", "would replay", (*bus.App).ReplayDeadLetters)
}

func newDeadDrop(s cli.Streams) *cobra.Command {
	return newDeadAction(s, &cobra.Command{
		Use:   "drop STREAM GROUP",
		Short: "Mark dead letters so that they are not replayed",
		Long: cli.Wrap("drop marks the open dead letters of STREAM and GROUP: they are not replayed any more, and not " +
			"counted as open. They stay in Kafka until their retention ends."),
		Example: "  kafkaesk dead drop content.edited mailer --where 'type=*bus.ValidationError' --dry-run",
	}, "dropped", "would drop", (*bus.App).DropDeadLetters)
}

// deadError adds advice to the error for missing dead letters.
func deadError(err error) error {
	if errors.Is(err, bus.ErrNoDeadLetters) {
		return fmt.Errorf("%w: kafkaesk dead lists the existing ones", err)
	}
	return err
}
