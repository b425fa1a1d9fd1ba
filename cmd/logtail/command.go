package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/buildinfo"
)

const about = `Logtail prints the log records of the Kafka streams that match a PATTERN, and follows them. It joins no
consumer group and commits nothing.

A pattern is that of a shell: * stands for any text, dots included; quote it. One that ends in .* also takes
the stream named before the dot: 'logs.*' takes logs too. Streams that appear later are followed too.
Streams of retries and dead letters are read only by a pattern that names them, such as 'orders.*.dead'.
STREAM/PARTITION@OFFSET, as errors name a record, prints that record.
A stream that is deleted and made again within two seconds is taken for the old one: its first records
may be missing.

What is there at the start is sorted by time: the log record's own timestamp, or Kafka's where it has none.
What comes later waits for older records of other partitions, for --window at most.
`

const examples = `  logtail -b localhost:9092 'logs.*'                 the last 10 records, then what comes
  logtail -l error 'logs.*'                          the last 10 errors, then what comes
  logtail -l w --since 2h 'logs.*' 'audit.*'         two hours of warnings and worse, and what comes
  logtail --field 'status>=500' -g timeout 'logs.*'  by a field, and by a text
  logtail --trace 4bf92f3577b34da6a3ce929d0e0e4736   all records of a trace
  logtail --from start --no-follow 'logs.*' | jq .   everything there is, as JSON lines
`

const exits = `  0  all is printed, or a follow was interrupted
  1  an error while running: records may be missing
  2  a wrong command line
  3  no broker could be reached at the start, within 10 seconds
A broker that is lost later is waited for: with --no-follow for a minute, which then ends with 1.
A second interrupt ends the program at once.
`

const jsonHelp = `Each line is an object: the record's own fields as they were written, then _topic, _partition,
_offset, _time (Kafka's, null when there is none), _key when there is one (text, or {"base64":"..."} when it is no
UTF-8), and _headers with --headers. What is no envelope has _note, and _value or _base64 where it is no object. A
field of the record with one of these names is printed as attr_NAME.
`

// helpWidth is how many columns the help takes at most.
const helpWidth = 100

// help is the whole help, of which the reference page is made too.
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

// newCommand returns the command line over o.
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
