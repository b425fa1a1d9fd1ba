package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/doctor"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

func newDoctor(s cli.Streams, apps Apps) *cobra.Command {
	a := &app{apps: apps}
	var target string
	var o doctor.Options
	var streams, groups []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why this machine cannot use a Kafka",
		Long: "doctor goes through what a connection needs, one step after another: DNS, TCP, TLS, the versions of " +
			"requests, SASL, the addresses\nthat the brokers advertise, rights, and the brokers' clock. It says how long each " +
			"step took, what is wrong, and how to mend it.\nIt writes nothing to the cluster.\n\n" +
			"Rights are checked for --stream and --group, or for all that an app needs (--app).\n\n" +
			"Exit codes: 0 all is well, 1 something is wrong, 2 the command line is wrong.",
		Example: "  kafkaesk doctor -b broker:9092\n  kafkaesk doctor --profile prod --app ./orders:App",
		Args:    cli.AsUsage(cobra.NoArgs),
	}
	connection, output := cli.Connect(cmd, s), cli.AddOutput(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Second, "the time limit of each step")
	flags.StringVar(&target, "app", "", "check the rights that the `./pkg:App` needs")
	flags.StringSliceVar(&streams, "stream", nil, "check the rights to publish to a stream of this `NAME`, and to read it")
	flags.StringSliceVar(&groups, "group", nil, "check the rights to be a member of the group of this `NAME`")
	a.addTags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("app", apps.Complete)
	_ = cmd.RegisterFlagCompletionFunc("stream", connection.CompleteStreams)
	_ = cmd.RegisterFlagCompletionFunc("group", connection.CompleteGroups)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := output.Check(); err != nil {
			return err
		}
		if o.Timeout <= 0 {
			return cli.UsageErrorf("--timeout %s: want a duration above zero, like 5s", o.Timeout)
		}
		if target != "" {
			described, err := a.describe(cmd.Context(), target)
			if err == nil {
				err = connectAs(cmd, s, described)
			}
			if err != nil {
				return err
			}
			o.Needs, o.Groups = needs(described)
		}
		for _, stream := range streams {
			o.Needs = append(o.Needs, doctor.Need{Stream: stream, Publish: true, Consume: true})
		}
		o.Groups = append(o.Groups, groups...)
		kafka, err := connection.Target()
		if err != nil {
			return err
		}
		o.Servers, o.Prefix, o.Settings = kafka.Servers, kafka.Prefix, kafka.Settings
		return examine(cmd, s, output, o)
	}
	return cmd
}

// examine prints each result at once as text, or all of them as JSON.
func examine(cmd *cobra.Command, s cli.Streams, output *cli.Output, o doctor.Options) error {
	rows := []doctor.Result{}
	var printing error
	healthy, err := doctor.Run(cmd.Context(), o, func(r doctor.Result) {
		rows = append(rows, r)
		if !output.JSON() && printing == nil {
			_, printing = fmt.Fprint(s.Out, resultText(r))
		}
	})
	if err != nil {
		return err
	}
	if output.JSON() {
		printing = cli.PrintJSON(s, rows)
	}
	switch {
	case printing != nil:
		return printing
	case !healthy:
		return cli.Exit(cli.Failed)
	}
	return nil
}

// resultText formats a result for people.
func resultText(r doctor.Result) string {
	safe := func(text string) string { return string(logtext.AppendName(nil, text)) }
	took := strconv.FormatFloat(r.Millis, 'f', 1, 64) + "ms"
	text := fmt.Sprintf("%-7s  %-10s  %9s  %s: %s\n", r.Status, r.Step, took, safe(r.Target), safe(r.Detail))
	if r.Fix != "" {
		text += strings.Repeat(" ", 9) + "fix: " + safe(r.Fix) + "\n"
	}
	return text
}

// needs returns how an App uses its streams, and its groups.
func needs(info *appinfo.App) (used []doctor.Need, groups []string) {
	byName := make(map[string]*doctor.Need)
	var names []string
	of := func(stream string) *doctor.Need {
		if byName[stream] == nil {
			byName[stream] = &doctor.Need{Stream: stream}
			names = append(names, stream)
		}
		return byName[stream]
	}
	for _, stream := range info.Streams() {
		of(stream).Publish = true
	}
	for _, sub := range info.Subscriptions {
		if !slices.Contains(groups, sub.Group) {
			groups = append(groups, sub.Group)
		}
		read := slices.DeleteFunc(append(info.Streams(), sub.Patterns...), func(stream string) bool {
			return strings.ContainsAny(stream, "*?[") || !sub.Reads(stream)
		})
		for _, stream := range read {
			of(stream).Consume = true
			if sub.DeadLetter {
				of(streams.Dead(stream, sub.Group)).Publish = true
			}
		}
	}
	for _, name := range names {
		used = append(used, *byName[name])
	}
	return used, groups
}
