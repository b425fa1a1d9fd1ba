package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// oldestKafka is the first release with every version in neededVersions.
const oldestKafka = "2.5"

// neededVersion is a request that this package and those below it send: the version that their code relies on, and the
// highest that kafka-go knows. A broker has to offer something between.
type neededVersion struct {
	key           protocol.ApiKey
	least, newest int16
}

// neededVersions is checked before anything is sent, because kafka-go would send all the same what a broker does not
// know, and the broker would close the connection without a word.
func neededVersions() []neededVersion {
	return []neededVersion{
		{protocol.Produce, 8, 8},         // names the record that is refused; idempotent batches
		{protocol.Fetch, 11, 11},         // the one layout that our decoder reads
		{protocol.ListOffsets, 5, 5},     // offset not available yet is told apart
		{protocol.Metadata, 8, 8},        // offline replicas, leader epochs
		{protocol.OffsetCommit, 7, 7},    // static members
		{protocol.OffsetFetch, 5, 5},     // leader epochs
		{protocol.FindCoordinator, 2, 2}, // throttling that the client waits out
		{protocol.JoinGroup, 7, 7},       // static members, protocol type
		{protocol.Heartbeat, 3, 4},       // static members
		{protocol.LeaveGroup, 3, 4},      // static members
		{protocol.SyncGroup, 5, 5},       // protocol type and name
		{protocol.CreateTopics, 5, 5},    // the broker's own text for an error
		{protocol.InitProducerId, 1, 4},  // producer ids
	}
}

// CheckVersions asks a broker which versions of each request it speaks. While no broker answers it tries again, until
// ctx ends. A broker before Kafka 2.5 is [ErrTooOld], one that refuses the login [ErrAuth], both at once.
func (c *Client) CheckVersions(ctx context.Context) error {
	err := c.retry(ctx, func() error {
		// The first connection is the Transport's own, for its list of brokers: its error is the first one, and a
		// second login with it would count twice.
		if _, err := c.brokers(ctx); err != nil {
			return err
		}
		response, err := c.roundTrip(ctx, new(apiversions.Request), 0)
		if err != nil {
			return err
		}
		r := response.(*apiversions.Response)
		if err := CodeErr(r.ErrorCode); err != nil {
			return fmt.Errorf("ApiVersions: %w", err)
		}
		return compareVersions(r.ApiKeys)
	})
	if err != nil {
		return fmt.Errorf("kafka: checking the broker's versions: %w", err)
	}
	return nil
}

// errTooNew: the broker has dropped a version that kafka-go still sends.
var errTooNew = errors.New("broker too new")

// compareVersions names each request whose versions do not meet.
func compareVersions(offered []apiversions.ApiKeyResponse) error {
	offers := make(map[int16]apiversions.ApiKeyResponse, len(offered))
	for _, o := range offered {
		offers[o.ApiKey] = o
	}
	var missing, dropped []string
	for _, n := range neededVersions() {
		offer, ok := offers[int16(n.key)]
		switch {
		case !ok:
			missing = append(missing, fmt.Sprintf("%s: needs version %d, the broker has none", n.key, n.least))
		case offer.MaxVersion < n.least:
			missing = append(missing, fmt.Sprintf("%s: needs version %d, the broker has %d to %d", n.key, n.least,
				offer.MinVersion, offer.MaxVersion))
		case offer.MinVersion > n.newest:
			dropped = append(dropped, fmt.Sprintf("%s: knows version %d, the broker has %d to %d", n.key, n.newest,
				offer.MinVersion, offer.MaxVersion))
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("%w: Kafka %s or later is needed (%s)", ErrTooOld, oldestKafka, strings.Join(missing, "; "))
	case len(dropped) > 0:
		return fmt.Errorf("%w: use a later version of kafkaesk (%s)", errTooNew, strings.Join(dropped, "; "))
	}
	return nil
}
