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

// windowDefault is how long a new record waits for older ones of other partitions.
const windowDefault = 250 * time.Millisecond

// connectionsMaxIdle is how many milliseconds a connection is kept that nothing uses: those that looked up where
// partitions begin are not needed again. One waits for records, and one looks for new topics.
const connectionsMaxIdle = 5000.0

// options are the command line: what was given, then what [options.complete] makes of it.
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
	listen                           string // of serve

	// reach is how long to wait for a broker at the start.
	reach time.Duration
	// away is how long to wait for Kafka later, without following.
	away time.Duration
	// queueRows is how many rows may wait for a page.
	queueRows int
	// now is the time that durations in --since and --until count back from.
	now time.Time
	// zone is the time zone of times that are given without one, and of those printed for people.
	zone *time.Location

	servers            []string
	prefix             string // of the topics
	patterns, excluded []pattern
	place              *place                  // the one record that is printed
	within             func(topic string) bool // the topics that the patterns choose from; nil: from all
	kafkaSettings      kafka.Settings
	beginGiven         []string // which flags that say where to begin were given
	begin              tail.From
	begins             time.Time // with tail.Time
	offset             *place    // where --from says; of any partition where it has no topic
	ends               time.Time // that --until says
	lastLines          int       // as reading.Options.Lines has it
	lookTime           time.Duration
	lookRecords        int
	filter             filter.Filter
	printer            func() form.Printer
	pretty             bool
	streamWidth        widest
	writing            atomic.Int64 // since when a write is under way; see idleWriter
}

func newOptions(s streams) *options {
	return &options{streams: s, reach: 10 * time.Second, away: time.Minute, queueRows: mostWaiting, now: time.Now(),
		zone: time.Local}
}

// connection takes what is missing from the environment and the profile, and reads what both say about the connection.
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

// complete turns texts into what they mean, and refuses what cannot be. last are the steps that not all commands have.
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
		return usageErrorf("--utc and --tz both say the time zone: give one")
	case o.utc:
		o.zone = time.UTC
	case o.tz != "":
		zone, err := time.LoadLocation(o.tz)
		if err != nil {
			return usageErrorf("--tz: %q is no time zone; give one such as Europe/Berlin", o.tz)
		}
		o.zone = zone
	default:
		if name := strings.TrimPrefix(o.getenv("TZ"), ":"); name != "" && !strings.HasPrefix(name, "/") {
			if _, err := time.LoadLocation(name); err != nil {
				o.notice("TZ=%s is no time zone that is known here: times are in UTC", name)
			}
		}
	}
	return nil
}

// selectStreams reads the patterns.
func (o *options) selectStreams(_ *pflag.FlagSet, args []string) (err error) {
	if len(args) == 0 && o.trace != "" {
		args = []string{"*"}
	}
	if len(args) == 0 {
		return usageErrorf("which streams? Give a pattern, such as 'logs.*'")
	}
	if p, ok := parsePlace(o.prefix, args[0]); ok {
		if len(args) > 1 {
			return usageErrorf("%s is the place of one record: give it alone", args[0])
		}
		o.place = &p
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

// selectTimes says where to begin and to end.
func (o *options) selectTimes(fs *pflag.FlagSet, _ []string) (err error) {
	if o.until != "" {
		if o.ends, err = when.Parse(o.until, o.now, o.zone); err != nil {
			return usageErrorf("--until: %q: %w", o.until, err)
		}
		o.filter.Until = o.ends.UnixNano()
		if o.ends.After(o.now) {
			o.notice("--until: %s is in the future: what comes is printed until then", o.shown(o.ends))
		} else {
			o.noFollow = true
		}
	}
	if err := o.parseLookBack(); err != nil {
		return usageErrorf("--look-back: %q: %w", o.lookBack, err)
	}
	if fs.Changed("from") && (fs.Changed("since") || fs.Changed("lines")) {
		return usageErrorf("--from and %s both say where to begin: give one", map[bool]string{true: "--since",
			false: "--lines"}[fs.Changed("since")])
	}
	for _, flag := range []string{"lines", "from", "since"} {
		if fs.Changed(flag) {
			o.beginGiven = append(o.beginGiven, "--"+flag)
		}
	}
	o.lastLines = -1
	for _, flag := range []string{"lines", "from", "since", "cursor-file"} {
		if o.place != nil && fs.Changed(flag) {
			return usageErrorf("%s is the place of one record, and --%s says where to begin: give one",
				o.placeName(o.place), flag)
		}
	}
	switch {
	case o.place != nil:
		o.begin, o.noFollow = tail.First, true
	case fs.Changed("since"):
		if o.begins, err = when.Parse(o.since, o.now, o.zone); err != nil {
			return usageErrorf("--since: %q: %w", o.since, err)
		}
		if o.begins.After(o.now) {
			o.notice("--since: %s is in the future: nothing is printed before then", o.shown(o.begins))
		}
		o.begin, o.filter.Since = tail.Time, o.begins.UnixNano()
		if fs.Changed("lines") {
			o.lastLines = o.lines
		}
	case o.from == "start", o.trace != "" && !fs.Changed("lines") && o.from == "":
		o.begin = tail.First
	case o.from == "end":
		o.begin = tail.End
	case o.from != "":
		return o.parseFrom()
	case o.lines == 0 && o.ends.IsZero():
		o.begin = tail.End
	default:
		o.begin, o.lastLines = tail.Last, o.lines
	}
	return nil
}

// shown is a time as it is said to people.
func (o *options) shown(t time.Time) string { return t.In(o.zone).Format("2006-01-02 15:04:05 MST") }

// parseFrom reads an offset of all partitions, or of one.
func (o *options) parseFrom() error {
	p, ok := parsePlace(o.prefix, o.from)
	if !ok {
		offset, err := strconv.ParseInt(o.from, 10, 64)
		if err != nil || offset < 0 {
			return usageErrorf("--from: %q: give start, end, an offset, or STREAM/PARTITION@OFFSET", o.from)
		}
		p = place{offset: offset}
	}
	o.begin, o.offset = tail.First, &p
	return nil
}

// parseLookBack reads a time, a number of records, or both, separated by a comma.
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
			return fmt.Errorf("give a time such as 5s, a number of records, both with a comma between them, or all")
		}
	}
	return nil
}

// selectRecords reads the filters.
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
		return usageErrorf("--invert turns --grep around: give that too")
	}
	f.Trace = o.trace
	return nil
}

// printing chooses the form of the output.
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
		return usageErrorf("--window: %v: give a time from 0", o.window)
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

// hiddenByDefault are the fields that say where a record was made: JSON lines and --long have them.
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

// logger takes what the rooms below have to say, such as that a broker is away.
func (o *options) logger() *slog.Logger { return slog.New(newNotices(o)) }

// bounds is where a partition begins and ends that From of reading.Options does not say.
func (o *options) bounds(tp kafka.TopicPartition, start, end int64) (int64, int64) {
	switch {
	case o.place != nil && tp == o.place.tp:
		return max(start, o.place.offset), min(end, o.place.offset+1)
	case o.place != nil:
		return end, end
	case o.offset == nil:
		return start, end
	case o.offset.tp.Topic == "" || o.offset.tp == tp:
		return min(max(start, o.offset.offset), end), end
	default:
		return end, end
	}
}
