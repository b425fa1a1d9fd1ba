package main

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/asyncapi"
)

func newAsyncAPI(streams Streams) *cobra.Command {
	var tags string
	var info asyncapi.Info
	cmd := &cobra.Command{
		Use:   "asyncapi [--title TEXT] [--doc-version VERSION] ./pkg:App",
		Short: "Print the AsyncAPI 3.0 document of an app",
		Long: "asyncapi prints an AsyncAPI 3.0 document, as JSON, of what an app declares: its streams as channels, its schemas as messages,\n" +
			"and its subscriptions as operations that receive. No broker is asked.",
		Example:               "  kafkaesk asyncapi ./orders:App > asyncapi.json",
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completeTarget,
		Args:                  cli.AsUsage(oneTarget),
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := describeApp(cmd.Context(), args[0], tags, streams)
			if err != nil {
				return err
			}
			info.Title = cmp.Or(info.Title, args[0])
			document, err := asyncapi.New(app, info)
			if err != nil {
				return err
			}
			e := json.NewEncoder(streams.Out)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(document)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&info.Title, "title", "", "the document's title (default: the target)")
	flags.StringVar(&info.Version, "doc-version", "0.0.0", "the `version` of the document")
	addTags(flags, &tags)
	return cmd
}

// oneTarget is the argument check of commands that take an app and nothing else.
func oneTarget(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one target, like ./pkg:App")
	}
	return nil
}
