package main

import (
	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/when"
)

// group is a section of flags in the help.
type group struct {
	name  string
	flags *pflag.FlagSet
}

// groups returns all flags of the command line.
func (o *options) groups() []group {
	return []group{
		{"Where to begin and to end", o.startFlags()},
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

func (o *options) startFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.VarP(newCount(&o.lines, 10), "lines", "n", "begin with the last `N` records that pass the filters, of all "+
		"streams together")
	fs.StringVar(&o.from, "from", "", "begin at the `PLACE`: start, end, an offset of every partition, or "+
		"STREAM/PARTITION@OFFSET: the other partitions begin at their ends")
	fs.StringVarP(&o.since, "since", "S", "", "begin at a `TIME`: "+when.Help)
	fs.StringVarP(&o.until, "until", "U", "", "leave out records of that `TIME` or later, and end there")
	fs.BoolVar(&o.noFollow, "no-follow", false, "end when all records that existed at the start are printed")
	fs.BoolP("follow", "f", false, "follow new records; this is the default")
	fs.VarP(newCount(&o.count, 0), "count", "c", "end after `N` records; 0: no limit")
	fs.StringVar(&o.cursorFile, "cursor-file", "", "begin where the run that wrote `FILE` ended, and save this "+
		"run's position in it; an existing file overrides --lines, --from and --since; records that the filters "+
		"leave out count as read")
	fs.StringArrayVarP(&o.exclude, "exclude", "x", nil, "leave out the streams that match `PATTERN`; may be repeated")
	fs.StringVar(&o.lookBack, "look-back", "5s,1000000", "limits of the search of --lines for records that pass "+
		"the filters: a duration, a `NUMBER` of latest records, both, or all")
	return fs
}

func (o *options) filterFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.StringVarP(&o.level, "level", "l", "", "only log records of this `LEVEL` and above; with = in front only of "+
		"this level: debug, "+
		"info, warning, error, critical, their first letters, or 10 to 50")
	fs.StringArrayVar(&o.service, "service", nil, "only log records whose service matches `PATTERN`; may be repeated")
	fs.StringArrayVar(&o.loggerName, "logger", nil, "only log records whose logger matches `PATTERN`; may be repeated")
	fs.StringArrayVar(&o.field, "field", nil, "only log records whose field meets a `CONDITION`: user=ada, "+
		"status>=500, path~^/api, with = != < <= > >= "+
		"~ (regular expression) !~; fields of groups with dots, order.id=7; also the fields that JSON lines add, "+
		"_key=7, _headers.NAME=x; x!=1 and x!~1 also pass records without x; may be repeated, all must hold")
	fs.StringVarP(&o.grep, "grep", "g", "", "only records whose JSON, texts or key match a regular `EXPRESSION`; "+
		"(?i) in front ignores case")
	fs.BoolVarP(&o.invert, "invert", "v", false, "only records that do not match --grep")
	fs.StringArrayVar(&o.schema, "schema", nil, "only envelopes whose schema matches `PATTERN`, such as "+
		"'Content:*'; may be repeated")
	fs.StringArrayVarP(&o.key, "key", "k", nil, "only records whose key matches `PATTERN`; may be repeated")
	fs.StringVar(&o.trace, "trace", "", "only records of the trace with this `ID`; from the start of all "+
		"streams, unless other flags limit that")
	return fs
}

func (o *options) outputFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.StringVarP(&o.output, "output", "o", "auto", "`FORMAT`: pretty, json, raw (the value, escaped on "+
		"a terminal), template, or auto: "+
		"pretty on a terminal, else json")
	fs.StringVar(&o.template, "template", "", "Go `TEMPLATE` over .Stream .Topic .Partition .Offset .Time .Level "+
		".Message .Key .Value .Schema "+
		".Headers .Fields, with the functions json and field: {{field . \"order.id\"}}")
	fs.BoolVar(&o.long, "long", false, "pretty: each field on a line of its own")
	fs.StringSliceVar(&o.fields, "fields", nil, "pretty and json: only these `FIELDS`, separated by commas, and "+
		"time, level, stream and message")
	fs.StringSliceVar(&o.hide, "hide", nil, "pretty and json: without these `FIELDS`, separated by commas")
	fs.BoolVar(&o.headers, "headers", false, "pretty and json: with the records' headers")
	fs.StringVarP(&o.highlight, "highlight", "H", "", "pretty: highlight the matches of a regular `EXPRESSION`")
	fs.BoolVarP(&o.null, "null", "0", false, "end records with a zero byte instead of a newline")
	fs.StringVar(&o.color, "color", "auto", "`WHEN` to use colours: auto, always, never; auto respects NO_COLOR, "+
		"FORCE_COLOR and CLICOLOR_FORCE")
	fs.StringVar(&o.timeFormat, "time-format", "full", "pretty: `LAYOUT` of times: short, full, rfc3339, or one of "+
		"Go's package time")
	fs.BoolVar(&o.utc, "utc", false, "UTC for times without a zone and in pretty output")
	fs.StringVar(&o.tz, "tz", "", "this `ZONE`, such as Europe/Berlin, for times without a zone and in pretty output; "+
		"by default the local one")
	fs.DurationVar(&o.window, "window", windowDefault, "how long a new record waits for older ones of other "+
		"partitions (`DURATION`); 0: records are printed as they arrive, existing ones too")
	return fs
}

func (o *options) connectionFlags() *pflag.FlagSet { return o.connectFlags.FlagSet() }

func (o *options) otherFlags() *pflag.FlagSet {
	fs := newFlags()
	fs.BoolVar(&o.list, "streams", false, "list the streams that match instead: partitions, records, time of the "+
		"last record")
	fs.BoolVar(&o.stats, "stats", false, "print the number of records read, printed and left out at the end")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "no notices and warnings on standard error, errors only")
	fs.BoolP("help", "h", false, "print this help")
	fs.Bool("version", false, "print the version")
	return fs
}
