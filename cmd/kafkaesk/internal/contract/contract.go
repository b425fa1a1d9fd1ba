// Package contract holds the commands about what an application declares: what it publishes and reads, the topics that
// it needs, and whether the Kafka that it is to run on can be used.
package contract

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// Apps learns what an App declares, by a target such as ./pkg:App, and the build tags to build it with.
type Apps struct {
	Describe func(ctx context.Context, target, tags string) (*appinfo.App, error)
	// Complete completes a target in a shell.
	Complete func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)
}

// Commands returns the commands.
func Commands(s cli.Streams, apps Apps) []*cobra.Command {
	return []*cobra.Command{
		newPublish(s, apps), newDoctor(s, apps), newSchema(s), newSchemas(s, apps), newTopics(s, apps), newAsyncAPI(s, apps),
	}
}

// app is the flags of a command that takes an app's target as its only argument.
type app struct {
	apps Apps
	tags string
}

// takesApp makes a command one that takes a target.
func takesApp(cmd *cobra.Command, apps Apps) *app {
	a := &app{apps: apps}
	cmd.Args = cli.AsUsage(func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return cli.UsageErrorf("name one target, like ./pkg:App")
		}
		return nil
	})
	cmd.DisableFlagsInUseLine = true
	cmd.ValidArgsFunction = apps.Complete
	a.addTags(cmd)
	return a
}

func (a *app) addTags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.tags, "tags", "", "build tags of the app, a `list` separated by commas, as for go build")
}

func (a *app) describe(ctx context.Context, target string) (*appinfo.App, error) {
	return a.apps.Describe(ctx, target, a.tags)
}

// connectAs has a command connect to the servers, and use the prefix, that an App is configured with, where the command
// line says nothing else.
func connectAs(cmd *cobra.Command, s cli.Streams, info *appinfo.App) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) || s.Variable(cliflags.Variable(name)) != "" }
	if given("profile") {
		return nil
	}
	for name, value := range map[string]string{"kafka-servers": strings.Join(info.Servers, ","),
		"topic-prefix": info.TopicPrefix} {
		if value == "" || given(name) {
			continue
		}
		if err := cmd.Flags().Set(name, value); err != nil {
			return err
		}
	}
	return nil
}
