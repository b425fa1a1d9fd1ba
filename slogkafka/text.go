package slogkafka

import (
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// textRenderer returns the renderer of text for people for w, which may be a terminal.
func textRenderer(w any) *logtext.Renderer {
	r := &logtext.Renderer{Layout: logtext.Short, Zone: time.Local, Hide: sameInAll}
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	r.Color, _ = logtext.UseColor("auto", terminal, os.Getenv) // only an unknown mode is an error
	if terminal {
		r.Width, _, _ = term.GetSize(int(file.Fd()))
	}
	return r
}

// sameInAll reports whether a field is equal in all records of a process.
func sameInAll(path string) bool {
	return slices.Contains([]string{"hostname", "service", "namespace", "cluster"}, path)
}
