package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

const (
	// mostWaiting and mostWaitingBytes bound the rows that wait for a viewer, and mostWaiting those that a page
	// begins with.
	mostWaiting      = 2000
	mostWaitingBytes = 4 << 20
	// rowsDefault is the number of records that a page begins with.
	rowsDefault = 200
)

// pageFlags lists the flags that a page may set: where it begins and what it shows.
func pageFlags() []string {
	return []string{"lines", "since", "until", "no-follow", "count", "exclude", "level", "service", "logger",
		"schema", "key",
		"field", "grep", "invert", "trace"}
}

// viewer returns the options of one viewer: the streams and the connection of the program, and the flags in the
// query. The parameter stream narrows the streams.
func (o *options) viewer(query url.Values, q *webpage.Queue) (*options, error) {
	v := newOptions(streams{eventWriter{q, "row"}, eventWriter{q, "notice"}, o.getenv})
	v.prefix, v.zone, v.kafkaSettings, v.reach, v.within = o.prefix, o.zone, o.kafkaSettings, o.reach, o.match
	v.window, v.printer = windowDefault, form.Row
	fs := newFlags()
	fs.AddFlagSet(v.startFlags())
	fs.AddFlagSet(v.filterFlags())
	for _, name := range pageFlags() {
		for _, value := range query[name] {
			if err := fs.Set(name, value); err != nil {
				return nil, usageErrorf("%s: %w", name, err)
			}
		}
	}
	if !fs.Changed("lines") && !fs.Changed("since") && !fs.Changed("trace") {
		v.lines = rowsDefault
	}
	if v.lines > mostWaiting {
		return nil, usageErrorf("lines: %d: a page begins with at most %d", v.lines, mostWaiting)
	}
	patterns := query["stream"]
	if len(patterns) == 0 {
		for _, p := range o.patterns {
			patterns = append(patterns, p.text)
		}
	}
	for _, step := range []func(*pflag.FlagSet, []string) error{v.selectStreams, v.selectTimes, v.selectRecords} {
		if err := step(fs, patterns); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// view reads the records of one viewer into its queue until ctx ends.
func (o *options) view(ctx context.Context, client *kafka.Client, q *webpage.Queue) {
	if err := o.read(ctx, client); err != nil {
		q.Add("failed", []byte(err.Error()))
	}
	q.Add("end", nil)
}

// eventWriter converts each written line to an event.
type eventWriter struct {
	q    *webpage.Queue
	name string
}

func (w eventWriter) Write(p []byte) (int, error) {
	var lines [][]byte
	for line := range strings.Lines(string(p)) {
		lines = append(lines, []byte(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "logtail: ")))
	}
	w.q.Add(w.name, lines...)
	return len(p), nil
}
