package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// ownConfigs returns the settings that a stream's topic has of its own, sorted, each as name=value.
func (w *world) ownConfigs(stream string) []string {
	w.t.Helper()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, w.prefix+stream
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, resource)
	var own []string
	w.patiently("describe "+stream, func() error {
		res, err := req.RequestWith(w.t.Context(), w.raw)
		if err == nil {
			err = kerr.ErrorForCode(res.Resources[0].ErrorCode)
		}
		if err != nil {
			return err
		}
		for _, c := range res.Resources[0].Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				own = append(own, c.Name+"="+*c.Value)
			}
		}
		return nil
	})
	slices.Sort(own)
	return own
}

// configure changes a setting of a stream's topic.
func (w *world) configure(stream, name, value string) {
	w.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, w.prefix+stream
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = name, &value
	resource.Configs = append(resource.Configs, config)
	req.Resources = append(req.Resources, resource)
	res, err := req.RequestWith(w.t.Context(), w.raw)
	if err == nil {
		err = kerr.ErrorForCode(res.Resources[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatalf("set %s of %q: %v", name, stream, err)
	}
}

// The largest record that a stream takes is a dead letter with all its headers: neither max_request_size nor the topic
// stands in its way.
func TestTheLargestRecordsCanBeDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	app := w.app()
	const most = 1 << 20
	size := most
	for ; ; size-- {
		err := app.PublishRaw(t.Context(), "s", make([]byte, size), bus.Key([]byte("k")))
		if err == nil {
			break
		}
		if !errors.Is(err, bus.ErrTooLarge) || size < most-1000 {
			t.Fatalf("publish %d bytes: %v", size, err)
		}
	}
	for _, less := range []int{1, 60, 250} {
		if err := app.PublishRaw(t.Context(), "s", make([]byte, size-less), bus.Key([]byte("k"))); err != nil {
			t.Fatal(err)
		}
	}
	bus.MustSubscribe(app, "s", func(context.Context, []byte) error {
		return bus.Reject(errors.New(strings.Repeat("e", 8<<10)))
	},
		bus.Group(group), bus.DeadLetter())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 4); err != nil {
		t.Fatal(err)
	}
	all := deadLetters(t, app, "s", group)
	if len(all) != 4 {
		t.Fatalf("%d dead letters", len(all))
	}
	for _, r := range all {
		if text := header(r, bus.ErrorHeader); len(text) != 8<<10 || len(r.Value) < size-250 {
			t.Errorf("a value of %d bytes, the error's text has %d", len(r.Value), len(text))
		}
	}
}

// What the topic of the dead letters is too small for loses the error's text first, and the record's own headers then,
// which a header says.
func TestHeadersGiveWayToTheRecord(t *testing.T) {
	t.Parallel()
	const value, own = 2_000, 3_000
	for _, test := range []struct {
		name    string
		limit   int // max.message.bytes of the dead letters' topic
		error   int // bytes of its text
		headers []string
		dropped string
	}{
		{"all fits", 20_000, 8 << 10, []string{"a", "b", bus.IDHeader}, ""},
		{"a short error fits", value + own + 1_500, 200, []string{"a", "b", bus.IDHeader}, ""},
		{"no other headers fit", value + 1_500, 200, []string{bus.IDHeader}, "2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.group("g")
			w.stream("s", 1)
			w.stream("s."+group+".dead", 1, fmt.Sprintf("max.message.bytes=%d", test.limit))
			w.putRecords(&kgo.Record{Topic: w.prefix + "s", Value: make([]byte, value), Headers: []kgo.RecordHeader{
				{Key: "a", Value: make([]byte, own)}, {Key: "b", Value: []byte("short")},
				{Key: bus.IDHeader, Value: []byte("the id")},
			}})
			app := w.app()
			bus.MustSubscribe(app, "s", func(context.Context, []byte) error {
				return bus.Reject(errors.New(strings.Repeat("e", 9_000)))
			},
				bus.Group(group), bus.DeadLetter())
			if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
				t.Fatal(err)
			}
			all := deadLetters(t, app, "s", group)
			if len(all) != 1 || len(all[0].Value) != value {
				t.Fatalf("%d dead letters", len(all))
			}
			var names []string
			for _, h := range all[0].Headers {
				if !strings.HasPrefix(h.Name, "kafkaesk-") || h.Name == bus.IDHeader {
					names = append(names, h.Name)
				}
			}
			if n := len(header(all[0], bus.ErrorHeader)); n != test.error || !slices.Equal(names, test.headers) ||
				header(all[0], bus.DroppedHeadersHeader) != test.dropped {
				t.Errorf("%d bytes of error, headers %q, dropped %q", n, names, header(all[0], bus.DroppedHeadersHeader))
			}
		})
	}
}

// A record whose dead letter does not fit at all holds up its partition, and no other. Health, Stats and the log say
// what to change; once it is changed all goes on, and nothing was skipped.
func TestARecordThatCannotBeADeadLetterWaitsForTheTopicToBeChanged(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	group := w.group("g")
	w.stream("s", 2)
	dead := "s." + group + ".dead"
	w.stream(dead, 1, "max.message.bytes=1000")
	w.put("s", 0, strings.Repeat("v", 2_000), "behind it")
	w.put("s", 1, "beside it")
	app := w.app(bus.Config{Logger: log.logger()})
	var got list[string]
	bus.MustSubscribe(app, "s", func(_ context.Context, value []byte) error {
		got.add(string(value))
		if len(value) == 2_000 {
			return bus.Reject(errBroken)
		}
		return nil
	}, bus.Group(group), bus.DeadLetter())
	stop := running(t, app)
	eventually(t, func() bool { return app.Health(t.Context()) != nil && got.len() == 2 },
		func() string { return fmt.Sprint(got.get()) })
	advice := fmt.Sprintf("set max.message.bytes of topic %s%s to ", w.prefix, dead)
	if err := app.Health(t.Context()); !strings.Contains(err.Error(), advice) || !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Health: %v", err)
	}
	blocked := func() (all []string) {
		for _, p := range stats(app).Assigned {
			all = append(all, p.Blocked)
		}
		return all
	}
	if all := blocked(); !strings.Contains(all[0], advice) || all[1] != "" {
		t.Errorf("Stats: %q", all)
	}
	text, err := json.Marshal(app.Stats())
	if err != nil || strings.Count(string(text), advice) != 2 { // Blocked and LastError
		t.Errorf("as JSON: %s, %v", text, err)
	}
	w.put("s", 1, "beside it, too")
	got.wait(t, 3)
	if n := strings.Count(log.String(), advice); n != 1 || slices.Contains(got.get(), "behind it") {
		t.Errorf("%d lines; handled %q", n, got.get())
	}
	w.configure(dead, "max.message.bytes", "100000")
	got.wait(t, 4)
	w.waitCommitted(group, "s", map[int32]int64{0: 2, 1: 2})
	if err := app.Health(t.Context()); err != nil ||
		slices.ContainsFunc(blocked(), func(b string) bool { return b != "" }) {
		t.Errorf("afterwards: %v, %q", err, blocked())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if all := deadLetters(t, app, "s", group); len(all) != 1 || len(all[0].Value) != 2_000 {
		t.Errorf("%d dead letters", len(all))
	}
}
