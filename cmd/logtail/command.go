package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
)

const about = `Logtail prints the log records of the Kafka streams that match a PATTERN, and follows them. It joins no
consumer group and commits nothing.

A PATTERN is a shell pattern: * matches any text, dots included. Quote it for your shell. A pattern that
ends in .* also matches the stream before the dot: 'logs.*' matches logs too. New streams that match are
followed too. Streams of retries and dead letters need a pattern that names them, such as 'orders.*.dead'.
STREAM/PARTITION@OFFSET, the form in which errors name a record, prints that record.
Logtail cannot see that a stream is deleted and recreated within two seconds: the first new records may be
missing.

Records that exist at the start are sorted by time: the log record's own timestamp, or else Kafka's. A new
record waits for older records of other partitions, for --window at most.
`

const examples = `  logtail -b localhost:9092 'logs.*'                 the last 10 records, then new ones
  logtail -l error 'logs.*'                          the last 10 errors, then new ones
  logtail -l w --since 2h 'logs.*' 'audit.*'         warnings and above of two hours, then new ones
  logtail --field 'status>=500' -g timeout 'logs.*'  by a field, and by a text
  logtail --trace 4bf92f3577b34da6a3ce929d0e0e4736   all records of a trace
  logtail --from start --no-follow 'logs.*' | jq .   all existing records, as JSON lines
`

const exits = `  0  everything is printed, or following was interrupted
  1  an error: records may be missing
  2  a wrong command line
  3  no broker could be reached at the start, within 10 seconds
Logtail waits for a broker that it loses later; with --no-follow it exits with 1 after a minute.
A second interrupt ends the program at once.
`

const jsonHelp = `Each line is an object: the record's own fields as they were written, then _topic, _partition,
_offset, _time (Kafka's, null when there is none), _key if there is one (text, or {"base64":"..."} if it is not
UTF-8), and _headers with --headers. A value that is not an envelope has _note, and one that is not an object has
_value or _base64. A field of the record with one of these names is printed as attr_NAME.
`

// helpWidth is the maximum width of the help in columns.
const helpWidth = 100

// help returns the help text. The reference page contains it too.
func (o *options) help() string {
	var b strings.Builder
	b.WriteString(wrap(about))
	b.WriteString("\nUsage:\n  logtail [flags] PATTERN...\n  logtail serve [--listen HOST:PORT] [flags] PATTERN...\n" +
		"  logtail completion bash|zsh|fish\n\nExamples:\n" + examples)
	for _, g := range o.groups() {
		b.WriteString("\n" + g.name + ":\n" + usages(g.flags))
	}
	b.WriteString("\nJSON lines:\n" + indent(wrap(jsonHelp)))
	b.WriteString("\nExit codes:\n" + exits)
	return b.String()
}

// newCommand returns the root command, which fills in o.
func newCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "logtail [flags] PATTERN...",
		Short:             "Print and follow the log records of Kafka streams",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		ValidArgsFunction: o.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			if shown, _ := cmd.Flags().GetBool("version"); shown {
				_, err := fmt.Fprintln(o.out, buildinfo.Line("logtail"))
				return err
			}
			if err := o.complete(cmd.Flags(), args, o.printing); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	for _, g := range o.groups() {
		cmd.Flags().AddFlagSet(g.flags)
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd.HasParent() {
			text := fmt.Sprintf("%s\n\nUsage:\n  %s\n", cmd.Long, cmd.UseLine())
			if cmd.Name() == "serve" {
				text = o.serveHelp()
			}
			_, _ = fmt.Fprint(o.out, text)
			return
		}
		_, _ = fmt.Fprint(o.out, o.help())
	})
	cmd.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"})
	cmd.AddCommand(newServe(o), newCompletion(o), newManual(o))
	o.completeFlags(cmd)
	return cmd
}
