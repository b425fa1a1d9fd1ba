// Package contract contains the commands about an application's declarations: its schemas, the topics that it needs,
// and whether it can use a Kafka.
package contract

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

// Apps returns the declarations of an App, by a target such as ./pkg:App and build tags.
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

// app holds the flags of a command whose only argument is an app's target.
type app struct {
	apps Apps
	tags string
}

// targetCommand adds the target argument and its flags to a command.
func targetCommand(cmd *cobra.Command, apps Apps) *app {
	a := &app{apps: apps}
	cmd.Args = cli.AsUsage(func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return cli.UsageErrorf("give one target, like ./pkg:App")
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

// connectAs makes a command use the servers and the prefix of an App's configuration unless the command line has
// others.
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
