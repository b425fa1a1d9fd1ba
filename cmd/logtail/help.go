package main

import (
	"fmt"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usages formats flags with their texts beside them, within helpWidth columns.
func usages(fs *pflag.FlagSet) string {
	const column = 28
	var b strings.Builder
	fs.VisitAll(func(f *pflag.Flag) {
		head, text := flagHead(f), flagText(f)
		lines := strings.Split(strings.TrimRight(wrapTo(text, helpWidth-column), "\n"), "\n")
		if len(head) > column-2 {
			b.WriteString(head + "\n")
		} else {
			fmt.Fprintf(&b, "%-*s%s\n", column, head, lines[0])
			lines = lines[1:]
		}
		for _, line := range lines {
			b.WriteString(strings.Repeat(" ", column) + line + "\n")
		}
	})
	return b.String()
}

// flagHead formats a flag with its short form and the name of its value.
func flagHead(f *pflag.Flag) string {
	head := "      --" + f.Name
	if f.Shorthand != "" {
		head = "  -" + f.Shorthand + ", --" + f.Name
	}
	if name, _ := pflag.UnquoteUsage(f); f.Value.Type() != "bool" {
		head += " " + name
	}
	return head
}

// flagText returns a flag's text with its default.
func flagText(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	text = strings.ReplaceAll(text, "\n", " ")
	if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
		text += " (default " + d + ")"
	}
	return text
}

func wrap(text string) string { return wrapTo(text, helpWidth) }

// wrapTo breaks paragraphs into lines of at most width columns, each with a line end.
func wrapTo(text string, width int) string {
	return cliflags.Wrap(strings.Trim(text, "\n"), width) + "\n"
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(wrapTo(text, helpWidth-2)) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// newManual returns the command that prints the manual page, or with --markdown the reference page.
func newManual(o *options) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use: "man", Hidden: true, Args: cobra.NoArgs,
		Long: "Man prints the manual page: logtail man > logtail.1",
		RunE: func(*cobra.Command, []string) error {
			page := manual(o)
			if markdown {
				page = reference(o)
			}
			_, err := fmt.Fprint(o.out, page)
			return err
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the reference page instead")
	return cmd
}

// manual returns the manual page in man's format.
func manual(o *options) string {
	escape := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace
	var b strings.Builder
	b.WriteString(".TH LOGTAIL 1\n.SH NAME\nlogtail \\- print and follow the log records of Kafka streams\n" +
		".SH SYNOPSIS\n.B logtail\n[flags] PATTERN...\n.SH DESCRIPTION\n")
	b.WriteString(escape(strings.ReplaceAll(wrap(about), "\n\n", "\n.PP\n")))
	for _, g := range o.groups() {
		b.WriteString(".SH " + strings.ToUpper(g.name) + "\n")
		g.flags.VisitAll(func(f *pflag.Flag) {
			b.WriteString(".TP\n.B " + escape(strings.TrimSpace(flagHead(f))) + "\n" + escape(flagText(f)) + "\n")
		})
	}
	b.WriteString(".SH THE PAGE\n.B logtail serve\n[flags] PATTERN...\n.PP\n" +
		escape(strings.ReplaceAll(wrap(aboutServe), "\n\n", "\n.PP\n")))
	o.serveGroups()[0].flags.VisitAll(func(f *pflag.Flag) {
		b.WriteString(".TP\n.B " + escape(strings.TrimSpace(flagHead(f))) + "\n" + escape(flagText(f)) + "\n")
	})
	b.WriteString(".SH JSON LINES\n" + escape(wrap(jsonHelp)) + ".SH EXIT STATUS\n.nf\n" + escape(exits) + ".fi\n" +
		".SH EXAMPLES\n.nf\n" + escape(examples) + ".fi\n")
	// Paragraph macros within a text stay macros; a period at the start of any other line is escaped.
	return strings.ReplaceAll(b.String(), "\n\\&.PP\n", "\n.PP\n")
}

// reference returns the reference page of the documentation.
func reference(o *options) string {
	return "# logtail\n\nThis page is what `logtail --help` prints; `go test ./cmd/logtail -run " +
		"TestReferencePages -update` writes it.\n\n" +
		"```\n" + o.help() + "```\n\n## logtail serve\n\n" +
		"![rows of log records, and one of them with all its fields](logtail-page.png)\n\n```\n" + o.serveHelp() + "```\n"
}
