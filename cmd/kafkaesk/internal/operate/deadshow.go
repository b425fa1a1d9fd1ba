package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

// deadLetter is the JSON of a dead letter.
type deadLetter struct {
	DeadStream     string       `json:"dead_stream"`
	Partition      int          `json:"partition"`
	Offset         int64        `json:"offset"`
	State          string       `json:"state"`
	FailedTime     *time.Time   `json:"failed_time"`
	Attempts       int          `json:"attempts"`
	Error          string       `json:"error"`
	ErrorType      string       `json:"error_type"`
	FirstStream    string       `json:"first_stream"`
	FirstPartition int          `json:"first_partition"`
	FirstOffset    int64        `json:"first_offset"`
	Key            any          `json:"key"`
	Headers        []deadHeader `json:"headers"`
	Value          any          `json:"value"`
}

type deadHeader struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func newDeadLetter(d *bus.DeadLetterRecord) deadLetter {
	l := deadLetter{DeadStream: d.Record.Stream, Partition: d.Record.Partition, Offset: d.Record.Offset,
		State: string(d.State), Attempts: d.Attempts, Error: d.Error, ErrorType: d.ErrorType,
		FirstStream: d.FirstStream, FirstPartition: d.FirstPartition,
		FirstOffset: d.FirstOffset, Key: textOrBytes(d.Record.Key), Headers: []deadHeader{}, FailedTime: givenUp(d)}
	for _, h := range d.Record.Headers {
		l.Headers = append(l.Headers, deadHeader{h.Name, textOrBytes(h.Value)})
	}
	if l.Value = textOrBytes(d.Record.Value); json.Valid(d.Record.Value) && utf8.Valid(d.Record.Value) {
		l.Value = json.RawMessage(d.Record.Value)
	}
	return l
}

// textOrBytes returns a text, {"base64": ...} for invalid UTF-8, and null for nil.
func textOrBytes(b []byte) any {
	switch {
	case b == nil:
		return nil
	case utf8.Valid(b):
		return string(b)
	}
	return map[string][]byte{"base64": b}
}

func newDeadShow(s cli.Streams) *cobra.Command {
	var o selecting
	cmd := &cobra.Command{
		Use:   "show STREAM GROUP",
		Short: "Print dead letters with key, headers and error",
		Long: cli.Wrap("show prints the dead letters of STREAM and GROUP: the record as it was, and why it was given up. " +
			"In JSON, a value that is no JSON is a text, and one that is no text either {\"base64\": ...}; so " +
			"are keys and headers."),
		Example: "  kafkaesk dead show content.edited mailer --where state=open\n" +
			"  kafkaesk dead show content.edited mailer --limit 0 -o json | jq '.[].error'",
		Args: cli.Exactly(2),
	}
	connection, output := cli.Connect(cmd, s), cli.AddOutput(cmd)
	cmd.ValidArgsFunction = completeDead(connection)
	cmd.Flags().StringArrayVar(&o.where, "where", nil, whereHelp)
	cmd.Flags().IntVar(&o.limit, "limit", 100, "print at most `N`; 0: all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		selection, err := o.selection()
		if err == nil {
			err = output.Check()
		}
		if err != nil {
			return err
		}
		return connection.App(cmd.Context(), func(ctx context.Context, app *bus.App) error {
			letters, more, err := selectDead(ctx, app, args[0], args[1], selection)
			if err != nil {
				return deadError(err)
			}
			if output.JSON() {
				err = cli.PrintJSON(s, letters)
			} else {
				err = printDead(s, letters)
			}
			if err == nil && more > 0 {
				_, err = fmt.Fprintf(s.Err, "kafkaesk: %d more are not shown: see --limit\n", more)
			}
			return err
		})
	}
	return cmd
}

// selectDead reads dead letters, and counts those beyond the limit.
func selectDead(ctx context.Context, app *bus.App, stream, group string, selection bus.DeadLetterSelection) (
	letters []deadLetter, more int, err error,
) {
	letters = []deadLetter{}
	for d, err := range app.DeadLetters(ctx, stream, group) {
		switch {
		case err != nil:
			return nil, 0, err
		case selection.Where != nil && !selection.Where(d):
		case selection.Limit > 0 && len(letters) == selection.Limit:
			more++
		default:
			letters = append(letters, newDeadLetter(d))
		}
	}
	return letters, more, nil
}

// printDead prints records for people, one below the other.
func printDead(s cli.Streams, letters []deadLetter) error {
	var b strings.Builder
	for n, l := range letters {
		if n > 0 {
			b.WriteByte('\n')
		}
		field := func(name, value string) { fmt.Fprintf(&b, "%-12s %s\n", name, cli.Escape(value)) }
		field("place", fmt.Sprintf("%s/%d@%d", l.DeadStream, l.Partition, l.Offset)) // as logtail takes it
		field("state", l.State)
		field("from", fmt.Sprintf("%s/%d@%d", l.FirstStream, l.FirstPartition, l.FirstOffset))
		field("given up", cli.Time(l.FailedTime)+" after "+cliflags.Count(l.Attempts, "attempt"))
		field("error", strings.Join(strings.Fields(l.ErrorType+": "+l.Error), " "))
		field("key", textOfAny(l.Key))
		for _, h := range l.Headers {
			if !strings.HasPrefix(h.Name, "kafkaesk-") {
				field("header", h.Name+": "+textOfAny(h.Value))
			}
		}
		field("value", textOfAny(l.Value))
	}
	if _, err := fmt.Fprint(s.Out, b.String()); err != nil {
		return fmt.Errorf("writing the records: %w", err)
	}
	return nil
}

// textOfAny formats a key, header or value for people.
func textOfAny(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return v
	case json.RawMessage:
		return string(v)
	case map[string][]byte:
		return fmt.Sprintf("%d bytes: %q", len(v["base64"]), v["base64"])
	}
	return fmt.Sprint(value)
}

// completeDead completes the stream and then the group of dead letters.
func completeDead(connection *cli.Connection) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		return connection.Complete(begun, func(ctx context.Context, i *inspect.Inspector) ([]string, error) {
			all, err := i.DeadLetters(ctx)
			if err != nil {
				return nil, err
			}
			var names []string
			for _, d := range all {
				switch {
				case len(args) == 0:
					names = append(names, d.Stream)
				case len(args) == 1 && args[0] == d.Stream:
					names = append(names, d.Group)
				}
			}
			return names, nil
		})
	}
}
