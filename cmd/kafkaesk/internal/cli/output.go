package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// Output is the flag -o of a command: a table for people, or JSON for programs.
type Output struct{ format string }

// AddOutput adds the flag to a command.
func AddOutput(cmd *cobra.Command) *Output {
	o := new(Output)
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "`FORMAT`: table, or json: one array of objects")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// Check refuses an unknown format. A command calls it first.
func (o *Output) Check() error {
	if o.format != "table" && o.format != "json" {
		return UsageErrorf("--output %q: give table or json", o.format)
	}
	return nil
}

// Column is a column of a table.
type Column[T any] struct {
	Head string
	// Number aligns the texts to the right.
	Number bool
	Text   func(T) string
}

// Print writes rows as one JSON array, or as a table with these columns.
func Print[T any](s Streams, o *Output, rows []T, columns []Column[T]) error {
	if o.format == "json" {
		return PrintJSON(s, rows)
	}
	lines := make([][]string, 1, len(rows)+1)
	for _, c := range columns {
		lines[0] = append(lines[0], c.Head)
	}
	for _, row := range rows {
		line := make([]string, len(columns))
		for n, c := range columns {
			line[n] = Escape(c.Text(row))
		}
		lines = append(lines, line)
	}
	var b strings.Builder
	wide := widths(lines)
	for _, line := range lines {
		appendLine(&b, line, wide, func(n int) bool { return columns[n].Number })
	}
	if _, err := fmt.Fprint(s.Out, b.String()); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// Escape escapes a text from brokers or records for a terminal.
func Escape(text string) string { return string(logtext.AppendName(nil, text)) }

// PrintJSON writes rows as one JSON array, with one object on each line.
func PrintJSON[T any](s Streams, rows []T) error {
	var b strings.Builder
	b.WriteByte('[')
	for n, row := range rows {
		text, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		escapeJSON(&b, text)
	}
	if len(rows) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	if _, err := fmt.Fprint(s.Out, b.String()); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// escapeJSON writes JSON with all control and format characters as escape sequences. They occur only in its strings.
func escapeJSON(b *strings.Builder, text []byte) {
	for _, r := range string(text) {
		switch {
		case r < 0x20 || !logtext.Active(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
}

// widths returns the width of each column.
func widths(lines [][]string) []int {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for n, text := range line {
			widths[n] = max(widths[n], utf8.RuneCountInString(text))
		}
	}
	return widths
}

func appendLine(b *strings.Builder, line []string, widths []int, right func(int) bool) {
	var text strings.Builder
	for n, cell := range line {
		if n > 0 {
			text.WriteString("  ")
		}
		space := strings.Repeat(" ", widths[n]-utf8.RuneCountInString(cell))
		if right(n) {
			text.WriteString(space + cell)
		} else {
			text.WriteString(cell + space)
		}
	}
	b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
}

// Number formats an integer in a table, "-" for null.
func Number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// Time formats a time in a table, in UTC; "-" for null.
func Time(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Seconds formats a duration in a table, "-" for null.
func Seconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return Duration(time.Duration(*s * float64(time.Second)))
}

// Duration formats a duration by its two largest units.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "for ever"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second / 10).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// List formats a list in a table, "-" for an empty one.
func List(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ",")
}

// JSON reports whether the output is for programs.
func (o *Output) JSON() bool { return o.format == "json" }
