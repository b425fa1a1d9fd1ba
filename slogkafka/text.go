package slogkafka

import (
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// textRenderer is how records are written for people to w, which is a terminal or not.
func textRenderer(w any) *logtext.Renderer {
	r := &logtext.Renderer{Layout: logtext.Short, Zone: time.Local, Hide: sameInAll}
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	r.Color, _ = logtext.UseColor("auto", terminal, os.Getenv) // no other mode is an error
	if terminal {
		r.Width, _, _ = term.GetSize(int(file.Fd()))
	}
	return r
}

// sameInAll tells the fields that are the same in every record of a process.
func sameInAll(path string) bool {
	return slices.Contains([]string{"hostname", "service", "namespace", "cluster"}, path)
}
