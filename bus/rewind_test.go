package bus_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kafkaesk/kafkaesk/bus"
)

// commit sets a group's offset as tools do, from outside of the group.
func (w *world) commit(group, stream string, partition int32, offset int64) {
	w.t.Helper()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = w.prefix+stream, append(topic.Partitions, p)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.Topics = group, -1, append(req.Topics, topic)
	// A version that names topics: later ones take ids.
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.MaxVersions(kversion.V3_5_0()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	w.patiently("commit for "+group, func() error {
		res, err := req.RequestWith(w.t.Context(), client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
	})
}

// A group's commit that lies behind the partition's end, as after its topic was made anew: the group begins with what
// there is, and commits that, though it is lower. Otherwise the next member would pass over what is written until the
// end is there again.
func TestACommitBehindTheEndIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("new", 1)
	w.put("new", 0, contents(0, 10)...)
	group := w.group("g")
	w.commit(group, "new", 0, 500)

	var got numbers
	app := w.app()
	bus.MustSubscribe(app, "new", got.handle, bus.Group(group))
	stop := running(t, app)
	got.wait(t, 10)
	w.waitCommitted(group, "new", map[int32]int64{0: 10})
	if s := stats(app); s.OutOfRange != 1 || s.Finished != 10 {
		t.Errorf("out of range %d times, %d finished, want 1 and 10", s.OutOfRange, s.Finished)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	w.put("new", 0, contents(10, 5)...)
	stop = running(t, app)
	defer func() { _ = stop() }()
	got.wait(t, 15)
	for i, n := range got.get() {
		if n != i {
			t.Fatalf("handled %v", got.get())
		}
	}
}

// With auto_offset_reset=none nobody chooses for the operator.
func TestACommitBehindTheEndIsAnErrorWithoutAReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("new", 1)
	group := w.group("g")
	w.commit(group, "new", 0, 500)
	app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": "none"})})
	bus.MustSubscribe(app, "new", func(context.Context, []byte) error { return nil }, bus.Group(group))
	if err := runs(t, app); err == nil {
		t.Fatal("it runs")
	}
	w.waitCommitted(group, "new", map[int32]int64{0: 500})
}
