package main

import (
	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/when"
)

// group is a part of the help: flags that belong together.
type group struct {
	name  string
	flags *pflag.FlagSet
}

// groups are all flags of the command line.
func (o *options) groups() []group {
	return []group{
		{"Where to begin and to end", o.beginFlags()},
		{"Which records", o.filterFlags()},
		{"How they are printed", o.outputFlags()},
		{"Connection", o.connectionFlags()},
		{"Other", o.otherFlags()},
	}
}

func newFlags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	return fs
}

func (o *options) beginFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.VarP(newCount(&o.lines, 10), "lines", "n", "begin with the last `N` records that pass the filters, of all "+
		"streams together")
	fs.StringVar(&o.from, "from", "", "begin at the `PLACE`: start, end, an offset of every partition, or "+
		"STREAM/PARTITION@OFFSET: the other partitions begin at their ends")
	fs.StringVarP(&o.since, "since", "S", "", "begin at a `TIME`: "+when.Help)
	fs.StringVarP(&o.until, "until", "U", "", "leave out what is of that `TIME` or later, and end there")
	fs.BoolVar(&o.noFollow, "no-follow", false, "end when all that was there at the start is printed")
	fs.BoolP("follow", "f", false, "go on with what comes; it is what logtail does anyway")
	fs.VarP(newCount(&o.count, 0), "count", "c", "end after `N` records; 0: no limit")
	fs.StringVar(&o.cursorFile, "cursor-file", "", "begin where the run ended that wrote `FILE`, and keep in it "+
		"how far this one has come; what is in it overrules --lines, --from and --since; it passes records that a "+
		"filter left out too")
	fs.StringArrayVarP(&o.exclude, "exclude", "x", nil, "leave out the streams that match `PATTERN`; may be repeated")
	fs.StringVar(&o.lookBack, "look-back", "5s,1000000", "how long --lines looks for records that pass the "+
		"filters, and among how many of the latest: a duration, a `NUMBER`, or both; or all")
	return fs
}

func (o *options) filterFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.StringVarP(&o.level, "level", "l", "", "only log records of this `LEVEL` and above, or with = in front of "+
		"that level alone: debug, "+
		"info, warning, error, critical, their first letters, or 10 to 50")
	fs.StringArrayVar(&o.service, "service", nil, "only those of a service that matches `PATTERN`; may be repeated")
	fs.StringArrayVar(&o.loggerName, "logger", nil, "only those of a logger that matches `PATTERN`; may be repeated")
	fs.StringArrayVar(&o.field, "field", nil, "only those whose field meets a `CONDITION`: user=ada, "+
		"status>=500, path~^/api, with = != < <= > >= "+
		"~ (regular expression) !~; fields of groups with dots, order.id=7; those that JSON lines add too, _key=7, "+
		"_headers.NAME=x; x!=1 and x!~1 pass records without x too; may be repeated, all must hold")
	fs.StringVarP(&o.grep, "grep", "g", "", "only those whose JSON, texts or key match a regular `EXPRESSION`; "+
		"(?i) in front ignores case")
	fs.BoolVarP(&o.invert, "invert", "v", false, "only those that do not match --grep")
	fs.StringArrayVar(&o.schema, "schema", nil, "only envelopes whose schema matches `PATTERN`, such as "+
		"'Content:*'; may be repeated")
	fs.StringArrayVarP(&o.key, "key", "k", nil, "only records whose key matches `PATTERN`; may be repeated")
	fs.StringVar(&o.trace, "trace", "", "only records of the trace with this `ID`; of all streams from their "+
		"start, unless other flags say less")
	return fs
}

func (o *options) outputFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.StringVarP(&o.output, "output", "o", "auto", "`FORMAT`: pretty, json, raw (the value as it is, escaped on "+
		"a terminal), template, or auto: "+
		"pretty on a terminal, else json")
	fs.StringVar(&o.template, "template", "", "Go `TEMPLATE` over .Stream .Topic .Partition .Offset .Time .Level "+
		".Message .Key .Value .Schema "+
		".Headers .Fields, with the functions json and field: {{field . \"order.id\"}}")
	fs.BoolVar(&o.long, "long", false, "pretty: each field on a line of its own")
	fs.StringSliceVar(&o.fields, "fields", nil, "pretty and json: only these `FIELDS` beside time, level, stream "+
		"and message; with commas")
	fs.StringSliceVar(&o.hide, "hide", nil, "pretty and json: without these `FIELDS`; with commas")
	fs.BoolVar(&o.headers, "headers", false, "pretty and json: with the records' headers")
	fs.StringVarP(&o.highlight, "highlight", "H", "", "pretty: mark what a regular `EXPRESSION` matches")
	fs.BoolVarP(&o.null, "null", "0", false, "end records with a zero byte instead of a line's end")
	fs.StringVar(&o.color, "color", "auto", "`WHEN` to use colours: auto, always, never; auto heeds NO_COLOR, "+
		"FORCE_COLOR and CLICOLOR_FORCE")
	fs.StringVar(&o.timeFormat, "time-format", "full", "pretty: `LAYOUT` of times: short, full, rfc3339, or as "+
		"Go's package time has it")
	fs.BoolVar(&o.utc, "utc", false, "times without a zone, and those of pretty output, are in UTC")
	fs.StringVar(&o.tz, "tz", "", "they are in this `ZONE`, such as Europe/Berlin; by default in the local one")
	fs.DurationVar(&o.window, "window", windowDefault, "how long a new record waits for older ones of other "+
		"partitions; 0: none waits, also not "+
		"of what was there (`DURATION`)")
	return fs
}

func (o *options) connectionFlags() *pflag.FlagSet { return o.connectFlags.FlagSet() }

func (o *options) otherFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.BoolVar(&o.list, "streams", false, "list the streams that match instead: partitions, records, time of the "+
		"last record")
	fs.BoolVar(&o.stats, "stats", false, "say at the end how many records were read, printed and left out")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "no notices and warnings on standard error, errors only")
	fs.BoolP("help", "h", false, "print this help")
	fs.Bool("version", false, "print the version")
	return fs
}
