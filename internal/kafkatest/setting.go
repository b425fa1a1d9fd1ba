package kafkatest

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest/apache"
)

// ShortSessions asks for brokers that allow the short sessions that tests need; Kafka's minimum is 6 s. The brokers
// of this package allow them. With KAFKA=host:port the test is skipped unless that cluster allows them.
func ShortSessions() Option { return func(r *request) { r.shortSessions = true } }

const (
	minSession     = "group.min.session.timeout.ms"
	shortestWanted = 1000 // milliseconds
)

// refusesShortSessions returns why the brokers at addr do not allow short sessions, or "".
func refusesShortSessions(addr string) string {
	settings, err := brokerSettings(addr)
	if err != nil {
		return "" // start reports the error
	}
	if n, err := strconv.Atoi(settings[minSession]); err != nil || n > shortestWanted {
		return fmt.Sprintf("needs brokers with %s=%d or less, and %s has %q: set it there, or run with KAFKA=apache",
			minSession, shortestWanted, addr, settings[minSession])
	}
	return ""
}

// brokerSettings asks a broker of the cluster at addr for its settings.
func brokerSettings(addr string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ids, err := apache.Brokers(ctx, addr)
	if err != nil || len(ids) == 0 {
		return nil, fmt.Errorf("kafkatest: brokers %v: %w", ids, err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(ids[0]))
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = append(req.Resources, resource)
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string)
	for _, r := range res.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, err
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				settings[c.Name] = *c.Value
			}
		}
	}
	return settings, nil
}
