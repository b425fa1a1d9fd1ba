package cliflags

import (
	"strconv"
	"strings"
)

// Wrap breaks the paragraphs of a help text into lines of at most width columns. Empty lines separate paragraphs. The
// last line has no line end.
func Wrap(text string, width int) string {
	var b strings.Builder
	for n, paragraph := range strings.Split(text, "\n\n") {
		if n > 0 {
			b.WriteString("\n\n")
		}
		column := 0
		for _, word := range strings.Fields(paragraph) {
			switch {
			case column == 0:
			case column+1+len(word) > width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
	}
	return b.String()
}

// Count returns a number of things: 1 attempt, 2 attempts.
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}
