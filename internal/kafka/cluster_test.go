package kafka

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that hangs while it is asked for metadata must not keep everybody from asking another one.
func TestAskingLeavesAHungBroker(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(2))
	s := quick()
	s.RequestTimeout, s.MetadataMaxAge = 600*time.Millisecond, time.Hour
	client := connect(t, s, cluster.ListenAddrs()...)
	if _, err := client.AllTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	var hung atomic.Bool
	hung.Store(true)
	cluster.ControlKey(kmsg.Metadata.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, nil, hung.Load() // no answer: as a broker that was stopped
	})
	if _, err := client.AllTopics(t.Context()); !errors.Is(err, os.ErrDeadlineExceeded) || Classify(err) != Transient {
		t.Errorf("while it hangs: %v", err)
	}
	hung.Store(false) // another broker, or the same one awake: the connection that hangs stays as it is
	if _, err := client.AllTopics(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
