package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestReferencePage holds docs/kafkaesk.md to what the commands' --help says.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# kafkaesk\n\nThis page is what `--help` prints for each command; `go test ./cmd/kafkaesk -run " +
		"TestReferencePage -update` writes it.\n")
	for _, cmd := range commandsBelow(newRoot(Streams{Out: io.Discard, Err: io.Discard})) {
		b.WriteString("\n## " + cmd.CommandPath() + "\n\n```\n" + helpOf(t, cmd) + "```\n")
	}
	path := filepath.Join("..", "..", "docs", "kafkaesk.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/kafkaesk.md is not what the program says (%v): run go test ./cmd/kafkaesk -run TestReferencePage "+
			"-update", err)
	}
}

// commandsBelow returns a command and those below it that are shown.
func commandsBelow(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			all = append(all, commandsBelow(c)...)
		}
	}
	return all
}

// helpOf returns what --help prints.
func helpOf(t *testing.T, cmd *cobra.Command) string {
	t.Helper()
	var b strings.Builder
	cmd.SetOut(&b)
	if err := cmd.Help(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for n, line := range lines {
		lines[n] = strings.TrimRight(line, " ")
	}
	return strings.Join(slices.Clip(lines), "\n") + "\n"
}
