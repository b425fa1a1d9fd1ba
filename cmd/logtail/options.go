package main

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/filter"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/when"
	"github.com/kafkaesk/kafkaesk/internal/connect"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// windowDefault is the default of --window.
const windowDefault = 250 * time.Millisecond

// connectionsMaxIdle is how many milliseconds an unused connection stays open: those that looked up offsets are not
// needed again. One connection waits for records, and one looks for new topics.
const connectionsMaxIdle = 5000.0

// options are the parsed command line and what [options.complete] derives from it.
type options struct {
	streams

	connectFlags                     connect.Flags
	lines, count                     int
	from, since, until               string
	noFollow                         bool
	cursorFile, lookBack             string
	exclude                          []string
	level                            string
	service, loggerName, schema, key []string
	field                            []string
	grep, trace                      string
	invert                           bool
	output, template, color          string
	long, headers, null              bool
	fields, hide                     []string
	highlight                        string
	timeFormat, tz                   string
	utc                              bool
	window                           time.Duration
	list, stats, quiet               bool
	listenAddr                       string // address of serve

	// reach is how long to wait for a broker at the start.
	reach time.Duration
	// away is how long to wait for Kafka later, when not following.
	away time.Duration
	// queueRows bounds the rows that wait for a page.
	queueRows int
	// now is the time from which durations in --since and --until count back.
	now time.Time
	// zone is the time zone of times without one, and of printed times.
	zone *time.Location

	servers            []string
	prefix             string // topic prefix
	patterns, excluded []pattern
	onlyRecord         *position               // the only record to print
	within             func(topic string) bool // the topics that the patterns may match; nil: all
	kafkaSettings      kafka.Settings
	startGiven         []string // the given flags that say where to begin
	startFrom          tail.From
	startTime          time.Time // start time with tail.Time
	offset             *position // the offset of --from; for every partition if it has no topic
	ends               time.Time // the time of --until
	lastLines          int       // reading.Options.Lines
	lookTime           time.Duration
	lookRecords        int
	filter             filter.Filter
	printer            func() form.Printer
	pretty             bool
	streamWidth        widest
	writing            atomic.Int64 // when the current write began; see idleWriter
}

func newOptions(s streams) *options {
	return &options{streams: s, reach: 10 * time.Second, away: time.Minute, queueRows: mostWaiting, now: time.Now(),
		zone: time.Local}
}

// connection reads missing flags from the environment and the profile, and parses the connection settings.
func (o *options) connection(fs *pflag.FlagSet) error {
	target, err := o.connectFlags.Resolve(fs, o.getenv, map[string]any{
		"client_id": "logtail", "connections_max_idle_ms": connectionsMaxIdle,
	})
	if err != nil {
		return usageErrorf("%w", err)
	}
	for _, w := range target.Warnings {
		o.notice("settings: %s", w)
	}
	o.servers, o.prefix, o.kafkaSettings = target.Servers, target.Prefix, target.Settings
	return nil
}

// complete parses and validates the options. last are steps that not all commands have.
func (o *options) complete(fs *pflag.FlagSet, args []string, last ...func(*pflag.FlagSet, []string) error) error {
	if err := o.connection(fs); err != nil {
		return err
	}
	for _, step := range append([]func(*pflag.FlagSet, []string) error{o.zones, o.selectStreams, o.selectTimes,
		o.selectRecords}, last...) {
		if err := step(fs, args); err != nil {
			return err
		}
	}
	if o.cursorFile != "" && !o.list {
		if err := o.checkCursor(); err != nil {
			return err
		}
	}
	if len(o.servers) == 0 {
		return usageErrorf("%w", connect.ErrNoServers)
	}
	return nil
}

// zones finds the time zone.
func (o *options) zones(*pflag.FlagSet, []string) error {
	switch {
	case o.utc && o.tz != "":
		return usageErrorf("--utc and --tz both set the time zone: give one")
	case o.utc:
		o.zone = time.UTC
	case o.tz != "":
		zone, err := time.LoadLocation(o.tz)
		if err != nil {
			return usageErrorf("--tz: %q is not a time zone; give one such as Europe/Berlin", o.tz)
		}
		o.zone = zone
	default:
		if name := strings.TrimPrefix(o.getenv("TZ"), ":"); name != "" && !strings.HasPrefix(name, "/") {
			if _, err := time.LoadLocation(name); err != nil {
				o.notice("TZ=%s is not a known time zone: times are in UTC", name)
			}
		}
	}
	return nil
}

// selectStreams compiles the patterns.
func (o *options) selectStreams(_ *pflag.FlagSet, args []string) (err error) {
	if len(args) == 0 && o.trace != "" {
		args = []string{"*"}
	}
	if len(args) == 0 {
		return usageErrorf("which streams? Give a pattern, such as 'logs.*'")
	}
	if p, ok := parsePosition(o.prefix, args[0]); ok {
		if len(args) > 1 {
			return usageErrorf("%s is a single record: give it alone", args[0])
		}
		o.onlyRecord = &p
		args = []string{strings.TrimPrefix(p.tp.Topic, o.prefix)}
	}
	if o.patterns, err = compilePatterns(o.prefix, args); err != nil {
		return usageErrorf("%w", err)
	}
	if o.excluded, err = compilePatterns(o.prefix, o.exclude); err != nil {
		return usageErrorf("--exclude: %w", err)
	}
	return nil
}

// selectTimes parses where to begin and to end.
func (o *options) selectTimes(fs *pflag.FlagSet, _ []string) (err error) {
	if o.until != "" {
		if o.ends, err = when.Parse(o.until, o.now, o.zone); err != nil {
			return usageErrorf("--until: %q: %w", o.until, err)
		}
		o.filter.Until = o.ends.UnixNano()
		if o.ends.After(o.now) {
			o.notice("--until: %s is in the future: new records are printed until then", o.shown(o.ends))
		} else {
			o.noFollow = true
		}
	}
	if err := o.parseLookBack(); err != nil {
		return usageErrorf("--look-back: %q: %w", o.lookBack, err)
	}
	if fs.Changed("from") && (fs.Changed("since") || fs.Changed("lines")) {
		return usageErrorf("--from and %s both set the start: give one", map[bool]string{true: "--since",
			false: "--lines"}[fs.Changed("since")])
	}
	for _, flag := range []string{"lines", "from", "since"} {
		if fs.Changed(flag) {
			o.startGiven = append(o.startGiven, "--"+flag)
		}
	}
	o.lastLines = -1
	for _, flag := range []string{"lines", "from", "since", "cursor-file"} {
		if o.onlyRecord != nil && fs.Changed(flag) {
			return usageErrorf("%s is a single record, and --%s sets the start: give one",
				o.placeName(o.onlyRecord), flag)
		}
	}
	switch {
	case o.onlyRecord != nil:
		o.startFrom, o.noFollow = tail.First, true
	case fs.Changed("since"):
		if o.startTime, err = when.Parse(o.since, o.now, o.zone); err != nil {
			return usageErrorf("--since: %q: %w", o.since, err)
		}
		if o.startTime.After(o.now) {
			o.notice("--since: %s is in the future: no record is printed before then", o.shown(o.startTime))
		}
		o.startFrom, o.filter.Since = tail.Time, o.startTime.UnixNano()
		if fs.Changed("lines") {
			o.lastLines = o.lines
		}
	case o.from == "start", o.trace != "" && !fs.Changed("lines") && o.from == "":
		o.startFrom = tail.First
	case o.from == "end":
		o.startFrom = tail.End
	case o.from != "":
		return o.parseFrom()
	case o.lines == 0 && o.ends.IsZero():
		o.startFrom = tail.End
	default:
		o.startFrom, o.lastLines = tail.Last, o.lines
	}
	return nil
}

// shown formats a time for a message.
func (o *options) shown(t time.Time) string { return t.In(o.zone).Format("2006-01-02 15:04:05 MST") }

// parseFrom parses an offset of all partitions, or of one.
func (o *options) parseFrom() error {
	p, ok := parsePosition(o.prefix, o.from)
	if !ok {
		offset, err := strconv.ParseInt(o.from, 10, 64)
		if err != nil || offset < 0 {
			return usageErrorf("--from: %q: give start, end, an offset, or STREAM/PARTITION@OFFSET", o.from)
		}
		p = position{offset: offset}
	}
	o.startFrom, o.offset = tail.First, &p
	return nil
}

// parseLookBack parses a time, a number of records, or both, separated by a comma.
func (o *options) parseLookBack() error {
	if o.lookBack == "all" {
		return nil
	}
	for part := range strings.SplitSeq(o.lookBack, ",") {
		if n, err := strconv.Atoi(part); err == nil && n > 0 {
			o.lookRecords = n
		} else if d, err := time.ParseDuration(part); err == nil && d > 0 {
			o.lookTime = d
		} else {
			return fmt.Errorf("give a time such as 5s, a number of records, both separated by a comma, or all")
		}
	}
	return nil
}

// selectRecords parses the filters.
func (o *options) selectRecords(*pflag.FlagSet, []string) (err error) {
	f := &o.filter
	if o.level != "" {
		level, exact, err := filter.Level(o.level)
		if err != nil {
			return usageErrorf("--level: %q: %w", o.level, err)
		}
		f.Level, f.Exact = &level, exact
	}
	for flag, list := range map[string]struct {
		texts []string
		to    *filter.Patterns
	}{"service": {o.service, &f.Service}, "logger": {o.loggerName, &f.Logger}, "schema": {o.schema, &f.Schema},
		"key": {o.key, &f.Key}} {
		if *list.to, err = filter.CompilePatterns(list.texts); err != nil {
			return usageErrorf("--%s: %w", flag, err)
		}
	}
	for _, text := range o.field {
		condition, err := filter.ParseCondition(text)
		if err != nil {
			return usageErrorf("--field: %w", err)
		}
		f.Fields = append(f.Fields, condition)
	}
	if o.grep != "" {
		if f.Grep, err = filter.NewGrep(o.grep); err != nil {
			return usageErrorf("--grep: %w", err)
		}
	}
	if f.Invert = o.invert; o.invert && f.Grep == nil {
		return usageErrorf("--invert inverts --grep: give that too")
	}
	f.Trace = o.trace
	return nil
}

// printing selects the output format.
func (o *options) printing(*pflag.FlagSet, []string) error {
	terminal := isTerminal(o.out)
	color, err := logtext.UseColor(o.color, terminal, o.getenv)
	if err != nil {
		return usageErrorf("--color: %w", err)
	}
	selection := form.Selection{Fields: o.fields, Hide: o.hide}
	if o.template != "" && o.output == "auto" {
		o.output = "template"
	}
	if o.window < 0 {
		return usageErrorf("--window: %v: give a duration of at least 0", o.window)
	}
	switch {
	case o.output == "pretty", o.output == "auto" && terminal:
		return o.printPretty(color, terminal, selection)
	case o.output == "json", o.output == "auto":
		o.printer = func() form.Printer { return form.JSON(o.headers, selection) }
	case o.output == "raw":
		o.printer = func() form.Printer { return form.Raw(terminal) }
	case o.output == "template":
		t, err := form.ParseTemplate(o.template, o.zone)
		switch {
		case o.template == "":
			return usageErrorf("--output template needs --template")
		case err != nil:
			return usageErrorf("--template: %w", err)
		}
		o.printer = func() form.Printer { return t }
	default:
		return usageErrorf("--output: %q: give auto, pretty, json, raw or template", o.output)
	}
	return nil
}

// hiddenByDefault lists the fields that describe the record's origin: JSON lines and --long include them.
func hiddenByDefault() []string { return []string{"hostname", "namespace", "cluster"} }

func (o *options) printPretty(color, terminal bool, selection form.Selection) error {
	r := logtext.Renderer{Color: color, Zone: o.zone, Long: o.long}
	switch o.timeFormat {
	case "full":
		r.Layout = logtext.Full
	case "short":
		r.Layout = logtext.Short
	case "rfc3339":
		r.Layout = "2006-01-02T15:04:05.000Z07:00"
	default:
		if r.Layout = o.timeFormat; time.Unix(0, 0).UTC().Format(r.Layout) == time.Unix(1e9+1,
			1e8).UTC().Format(r.Layout) {
			return usageErrorf("--time-format: %q: give short, full, rfc3339, or a layout such as 15:04:05.000",
				o.timeFormat)
		}
	}
	if terminal {
		if f, ok := o.out.(*os.File); ok {
			r.Width, _, _ = term.GetSize(int(f.Fd()))
		}
	}
	if o.highlight != "" {
		re, err := regexp.Compile(o.highlight)
		if err != nil {
			return usageErrorf("--highlight: %w", err)
		}
		r.Highlight = re
	}
	if len(o.fields) == 0 && !o.long {
		selection.Hide = append(hiddenByDefault(), selection.Hide...)
	}
	r.Hide = selection.Hides
	o.pretty = true
	o.printer = func() form.Printer { return form.Pretty(r, o.headers, o.streamWidth.see) }
	return nil
}

// logger returns the logger of the packages below, for events such as a lost broker.
func (o *options) logger() *slog.Logger { return slog.New(newNotices(o)) }

// bounds adjusts where a partition begins and ends beyond reading.Options.From.
func (o *options) bounds(tp kafka.TopicPartition, start, end int64) (int64, int64) {
	switch {
	case o.onlyRecord != nil && tp == o.onlyRecord.tp:
		return max(start, o.onlyRecord.offset), min(end, o.onlyRecord.offset+1)
	case o.onlyRecord != nil:
		return end, end
	case o.offset == nil:
		return start, end
	case o.offset.tp.Topic == "" || o.offset.tp == tp:
		return min(max(start, o.offset.offset), end), end
	default:
		return end, end
	}
}
