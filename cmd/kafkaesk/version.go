package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

func newVersion(streams Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the Go version",
		Args:  cli.AsUsage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			_, err := fmt.Fprintln(streams.Out, version(info))
			return err
		},
	}
}

// version puts together what the go command has noted in the program: the module's version when it was installed by version,
// the commit when it was built in a work tree.
func version(info *debug.BuildInfo) string {
	line := "kafkaesk "
	if info.Main.Version == "" {
		line += "(unknown version)"
	} else {
		line += info.Main.Version
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		line += ", commit " + commit
		if settings["vcs.modified"] == "true" {
			line += " with changes"
		}
	}
	if info.GoVersion != "" {
		line += ", " + info.GoVersion
	}
	return line
}
