package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// The only broker has gone, and the Transport has dropped its connections and what it knew of the cluster. No request
// can be routed then, and each error has to say why: the address, and that the connection was refused.
func TestARequestWithoutABrokerNamesTheConnectionError(t *testing.T) {
	t.Parallel()
	batch := []wire.PartitionBatch{{Topic: "t"}}
	member := wire.Member{GroupID: "g", MemberID: "m"}
	for name, request := range map[string]protocol.Message{
		"produce":     wire.NewProduceRequest(0, "", -1, time.Second, batch, new(wire.Writing)),
		"fetch":       &wire.FetchRequest{},
		"offsets":     &wire.LeaderOffsets{},
		"create":      &createTopic{message: createtopics.Request{Topics: []createtopics.RequestTopic{{Name: "t"}}}},
		"describe":    &describeTopic{},
		"group":       &wire.Heartbeat{Member: member},
		"producer id": wire.NewInitProducerID(),
		"metadata":    &wire.MetadataRequest{All: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			address := cluster.ListenAddrs()[0]
			client := connect(t, quick(), address)
			if _, err := client.AllTopics(t.Context()); err != nil {
				t.Fatal(err)
			}
			cluster.Close()
			client.DropIdle()
			_, err := client.RoundTrip(t.Context(), request, 0)
			if !Classify(err).Retriable() {
				t.Errorf("%v is %s, want an error that a retry may mend", err, Classify(err))
			}
			for _, part := range []string{address, "connection refused"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not say %q", err, part)
				}
			}
		})
	}
}
