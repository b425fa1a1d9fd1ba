package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/schema/compat"
)

func newSchema(s cli.Streams) *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "Compare versions of a JSON Schema", Args: cli.AsUsage(cobra.NoArgs)}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(newSchemaCheck(s))
	return cmd
}

func newSchemaCheck(s cli.Streams) *cobra.Command {
	var direction string
	cmd := &cobra.Command{
		Use:   "check OLD NEW",
		Short: "Check whether two versions of a JSON Schema are compatible",
		Long: "check compares two JSON Schemas, each a file or - for standard input, and prints why data of one may be " +
			"invalid for the other:\n  backward  consumers with the new schema read data of the old one\n" +
			"  forward   consumers with the old schema read data of the new one\n" +
			"  full      both\n\n" +
			"A producer writes the properties that its schema names, and no others: so a property that is added, and not " +
			"required, breaks\nnothing. What cannot be told apart from an incompatible change, as a pattern that has changed, " +
			"counts as one.\nA schema of more than 1 MiB, or of more than 128 levels of objects and arrays, is refused.\n\n" +
			"Exit codes: 0 compatible, 1 incompatible or not comparable, 2 the command line is wrong.",
		Example: "  kafkaesk schema check --compatibility full content.1.json content.2.json\n" +
			"  kafkaesk schemas ./orders:App --json-schema Order:2 | kafkaesk schema check order.1.json -",
		Args: cli.Exactly(2),
	}
	output := cli.AddOutput(cmd)
	directions := []string{compat.Backward, compat.Forward, compat.Full}
	cmd.Flags().StringVar(&direction, "compatibility", compat.Backward, "`DIRECTION`: "+strings.Join(directions, ", "))
	_ = cmd.RegisterFlagCompletionFunc("compatibility",
		cobra.FixedCompletions(directions, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch {
		case !slices.Contains(directions, direction):
			return cli.UsageErrorf("--compatibility %q: give %s", direction, strings.Join(directions, ", "))
		case args[0] == "-" && args[1] == "-":
			return cli.UsageErrorf("OLD and NEW are both standard input: use a file for one of them")
		}
		if err := output.Check(); err != nil {
			return err
		}
		older, err := document(s, args[0])
		if err != nil {
			return err
		}
		newer, err := document(s, args[1])
		if err != nil {
			return err
		}
		problems, err := compat.Check(older, newer, direction)
		if err != nil {
			return err
		}
		if len(problems) == 0 && !output.JSON() {
			fmt.Fprintf(s.Err, "kafkaesk: compatible: %s\n", direction)
			return nil
		}
		if err := cli.Print(s, output, append([]compat.Problem{}, problems...), problemColumns()); err != nil {
			return err
		}
		if len(problems) > 0 {
			return cli.Exit(cli.Failed)
		}
		return nil
	}
	return cmd
}

// document reads a file, or standard input for -.
func document(s cli.Streams, name string) ([]byte, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(s.In)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a schema: %w", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("reading a schema: %s is empty", name)
	}
	return text, nil
}

func problemColumns() []cli.Column[compat.Problem] {
	return []cli.Column[compat.Problem]{
		{Head: "DIRECTION", Text: func(p compat.Problem) string { return p.Direction }},
		{Head: "FIELD", Text: func(p compat.Problem) string { return orDash(p.Field) }},
		{Head: "KEYWORD", Text: func(p compat.Problem) string { return p.Keyword }},
		{Head: "REASON", Text: func(p compat.Problem) string { return p.Reason }},
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newSchemas(s cli.Streams, apps Apps) *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use:   "schemas [--json-schema NAME:VERSION] [-o table|json] ./pkg:App",
		Short: "List the schemas of an app",
		Long: "schemas lists the schemas that an app declares, with their streams. With --json-schema it prints one JSON " +
			"Schema alone.\nNo broker is asked.",
		Example: "  kafkaesk schemas ./orders:App\n  kafkaesk schemas --json-schema Order:1 ./orders:App > order.1.json",
	}
	a, output := targetCommand(cmd, apps), cli.AddOutput(cmd)
	cmd.Flags().StringVar(&only, "json-schema", "", "print the JSON Schema of the schema of this `NAME:VERSION`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		described, err := a.describe(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if only == "" {
			return cli.Print(s, output, described.Schemas, schemaColumns())
		}
		schema, ok := described.Schema(only)
		if !ok {
			return cli.UsageError(noSchema(described, only))
		}
		var b bytes.Buffer
		if err := json.Indent(&b, schema.JSONSchema, "", "  "); err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.Out, b.String())
		return err
	}
	return cmd
}

// noSchema returns the error for a missing schema, with the names of the App's schemas.
func noSchema(info *appinfo.App, name string) error {
	if len(info.Schemas) == 0 {
		return fmt.Errorf("no schema %q: the app declares none", name)
	}
	var names []string
	for _, s := range info.Schemas {
		names = append(names, s.Name())
	}
	return errors.New("no schema \"" + name + "\": the app declares " + strings.Join(names, ", "))
}

func schemaColumns() []cli.Column[appinfo.Schema] {
	return []cli.Column[appinfo.Schema]{
		{Head: "SCHEMA", Text: appinfo.Schema.Name},
		{Head: "STREAMS", Text: func(s appinfo.Schema) string { return cli.List(s.Streams) }},
		{Head: "PARTITIONS", Number: true, Text: func(s appinfo.Schema) string { return orDash(positive(s.Partitions)) }},
		{Head: "RETENTION", Text: func(s appinfo.Schema) string {
			if s.RetentionMS == 0 {
				return "-"
			}
			return cli.Duration(s.Retention())
		}},
		{Head: "SETTINGS", Text: func(s appinfo.Schema) string {
			var list []string
			for _, name := range slices.Sorted(maps.Keys(s.TopicConfigs)) {
				list = append(list, name+"="+s.TopicConfigs[name])
			}
			return cli.List(list)
		}},
	}
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
