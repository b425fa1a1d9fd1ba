package contract

import (
	"cmp"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/asyncapi"
)

func newAsyncAPI(s cli.Streams, apps Apps) *cobra.Command {
	var info asyncapi.Info
	cmd := &cobra.Command{
		Use:   "asyncapi [--title TEXT] [--doc-version VERSION] ./pkg:App",
		Short: "Print the AsyncAPI 3.0 document of an app",
		Long: "asyncapi prints an AsyncAPI 3.0 document, as JSON, of what an app declares: its streams as channels, its " +
			"schemas as messages,\nand its subscriptions as operations that receive. No broker is asked.",
		Example: "  kafkaesk asyncapi ./orders:App > asyncapi.json",
	}
	a := targetCommand(cmd, apps)
	cmd.Flags().StringVar(&info.Title, "title", "", "the `title` of the document (default: the target)")
	cmd.Flags().StringVar(&info.Version, "doc-version", "0.0.0", "the `version` of the document")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		described, err := a.describe(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		info.Title = cmp.Or(info.Title, args[0])
		document, err := asyncapi.New(described, info)
		if err != nil {
			return err
		}
		e := json.NewEncoder(s.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(document)
	}
	return cmd
}
