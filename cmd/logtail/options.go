package main

import (
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// environment are the flags that a variable stands in for.
func environment() []string { return []string{"kafka-servers", "kafka-settings", "topic-prefix"} }

// options are the command line: what was given, then what [options.complete] makes of it.
type options struct {
	streams

	servers  []string
	settings string
	prefix   string
	lines    int
	since    string
	from     string
	noFollow bool
	level    string
	exclude  []string
	output   string
	color    string
	quiet    bool

	// reach is how long to wait for a broker at the start.
	reach time.Duration
	// now is the time that durations in --since count back from.
	now time.Time
	// zone is the time zone of times that are given without one, and of those printed for people.
	zone *time.Location

	patterns []string
	config   bus.Config
	tail     []bus.TailOption
	least    *slog.Level // nil: records of any level, and those that have none
	print    printer
}

func newOptions(s streams) *options {
	return &options{streams: s, reach: 10 * time.Second, now: time.Now(), zone: time.Local}
}

func (o *options) addFlags(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringSliceVarP(&o.servers, "kafka-servers", "b", nil, "brokers to ask first, `HOST:PORT`[,...]")
	fs.StringVar(&o.settings, "kafka-settings", "", "client settings in aiokafka's names, as a `JSON` object")
	fs.StringVar(&o.prefix, "topic-prefix", "", "`PREFIX` of the topics' names; patterns do not include it")
	fs.IntVarP(&o.lines, "lines", "n", 10, "begin with the last `N` records of all streams together, counted before --level")
	fs.StringVar(&o.since, "since", "", "begin at a `TIME`: a duration ago (90s, 2h30m, 7d) or a time (2026-01-31, \"2026-01-31 15:04\", RFC 3339)")
	fs.StringVar(&o.from, "from", "", "begin at the `start|end` of the streams")
	fs.BoolVar(&o.noFollow, "no-follow", false, "end when all that was there at the start is printed")
	fs.StringVarP(&o.level, "level", "l", "", "only log records of this `LEVEL` and above: debug, info, warning, error, critical, their first letters, or 10 to 50")
	fs.StringArrayVarP(&o.exclude, "exclude", "x", nil, "leave out the streams that match `PATTERN`; may be repeated")
	fs.StringVarP(&o.output, "output", "o", "auto", "`FORMAT`: pretty, json, raw (the value as it is, escaped on a terminal), or auto: pretty on a terminal, else json")
	fs.StringVar(&o.color, "color", "auto", "`WHEN` to use colours: auto, always, never; auto heeds NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "no notices and warnings on standard error, errors only")
	for _, flag := range environment() {
		fs.Lookup(flag).Usage += " ($" + cliflags.Variable(flag) + ")"
	}
}

// complete takes what is missing from the environment, and turns texts into what they mean.
func (o *options) complete(fs *pflag.FlagSet, args []string) error {
	for _, flag := range environment() {
		variable := cliflags.Variable(flag)
		if value := o.getenv(variable); value != "" && !fs.Changed(flag) {
			if err := fs.Set(flag, value); err != nil {
				return usageErrorf("$%s: %w", variable, err)
			}
		}
	}
	o.patterns = args
	settings, err := bus.ParseSettings(o.settings)
	if err != nil {
		return usageErrorf("--kafka-settings: %w", err)
	}
	servers, err := cliflags.Servers(o.servers...)
	if err != nil && len(o.servers) > 0 {
		return usageErrorf("--kafka-servers: %w", err)
	}
	o.config = bus.Config{Servers: servers, TopicPrefix: o.prefix, Settings: settings, Logger: o.logger()}
	if o.tail, err = o.begin(fs); err != nil {
		return err
	}
	for _, pattern := range o.exclude {
		o.tail = append(o.tail, bus.Exclude(pattern))
	}
	if o.noFollow {
		o.tail = append(o.tail, bus.StopAtEnd())
	}
	if o.level != "" {
		level, err := severity.Parse(o.level)
		if err != nil {
			return usageErrorf("--level: %q: %w", o.level, err)
		}
		o.least = &level
	}
	o.print, err = o.printer()
	return err
}

// begin says where to begin. The three flags for it exclude each other.
func (o *options) begin(fs *pflag.FlagSet) ([]bus.TailOption, error) {
	var given []string
	for _, name := range []string{"lines", "since", "from"} {
		if fs.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return nil, usageErrorf("%s and %s both say where to begin: give one", given[0], given[1])
	}
	switch {
	case fs.Changed("since"):
		t, err := parseSince(o.since, o.now, o.zone)
		if err != nil {
			return nil, usageErrorf("--since: %w", err)
		}
		return []bus.TailOption{bus.FromTime(t)}, nil
	case !fs.Changed("from"):
		if o.lines < 0 {
			return nil, usageErrorf("--lines: %d: give a number from 0", o.lines)
		}
		return []bus.TailOption{bus.LastRecords(o.lines)}, nil
	case o.from == "start":
		return []bus.TailOption{bus.FromStart()}, nil
	case o.from == "end":
		return []bus.TailOption{bus.FromEnd()}, nil
	default:
		return nil, usageErrorf("--from: %q: give start or end", o.from)
	}
}

// printer chooses the form of the output.
func (o *options) printer() (printer, error) {
	terminal := isTerminal(o.out)
	color, err := useColor(o.color, terminal, o.getenv)
	if err != nil {
		return nil, usageErrorf("--color: %w", err)
	}
	switch {
	case o.output == "pretty", o.output == "auto" && terminal:
		return prettyPrinter{color: color, zone: o.zone}, nil
	case o.output == "json", o.output == "auto":
		return jsonPrinter{}, nil
	case o.output == "raw":
		return rawPrinter{escape: terminal}, nil
	default:
		return nil, usageErrorf("--output: %q: give auto, pretty, json or raw", o.output)
	}
}

// logger takes what the bus has to say, such as that a broker is away.
func (o *options) logger() *slog.Logger {
	level := slog.LevelWarn
	if o.quiet {
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(escapingWriter{o.err}, &slog.HandlerOptions{Level: level}))
}

// validate refuses what cannot be.
func (o *options) validate() error {
	if len(o.patterns) == 0 {
		return usageErrorf("which streams? Give a pattern, such as 'logs.*'")
	}
	if slices.Contains(o.patterns, "") {
		return usageErrorf("a pattern is empty; '*' matches every stream")
	}
	for _, pattern := range slices.Concat(o.patterns, o.exclude) {
		if _, err := fnmatch.Compile("", pattern); err != nil {
			return usageErrorf("the pattern %.20q...: %w", pattern, err)
		}
	}
	if len(o.servers) == 0 {
		return usageErrorf("which brokers? Give --kafka-servers HOST:PORT, or set %s", cliflags.Variable("kafka-servers"))
	}
	return nil
}
