package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// Dead letters that may not be read are an error that names their stream, and hide no others.
func TestDeadLettersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Kfake())
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix, Logger: testkit.Logger(t)})
	bus.MustSubscribe(app, "*", func(context.Context, *bus.Record) error { return bus.Reject(errors.New("no")) },
		bus.Group("mailer"), bus.DeadLetter())
	for _, stream := range []string{"open", "shut"} {
		if err := app.PublishRaw(t.Context(), stream, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.ConsumeFor(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	shut := "shut.mailer.dead"
	cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: prefix + shut,
		Err: kerr.TopicAuthorizationFailed, Count: -1})
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"dead", "-b", strings.Join(cluster.Servers(), ","), "--topic-prefix", prefix,
		"-o", "json"},
		Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) string { return "" }})
	if code != cli.Incomplete || !strings.Contains(out.String(), `"stream":"open"`) ||
		strings.Contains(out.String(), `"stream":"shut"`) || !strings.Contains(errs.String(), `stream "shut"`) {
		t.Errorf("exit code %d\n%s\n%s", code, &out, &errs)
	}
}
