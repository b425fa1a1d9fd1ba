package kafka

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// admin is a client that shares no code with what is tested.
func admin(t *testing.T, servers ...string) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// createTopicWith makes a topic with settings, each as name=value.
func createTopicWith(t *testing.T, client *kgo.Client, name string, configs ...string) {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
}

// ownConfigs returns the settings that a topic has of its own, sorted, each as name=value.
func ownConfigs(t *testing.T, client *kgo.Client, name string) []string {
	t.Helper()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources = append(request.Resources, resource)
	var own []string
	testkit.Until(t, "describe "+name, func() bool {
		response, err := request.RequestWith(t.Context(), client)
		if err == nil {
			err = kerr.ErrorForCode(response.Resources[0].ErrorCode)
		}
		if kerr.IsRetriable(err) {
			return false // the broker that was asked has not heard of the topic yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range response.Resources[0].Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				own = append(own, c.Name+"="+*c.Value)
			}
		}
		return true
	})
	slices.Sort(own)
	return own
}

// A topic that is to take another one's records takes over how large they may be, with room for headers, and how long
// they live, with what they wait; nothing else.
func TestTopicThatTakesOverFromAnother(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix, raw := cluster.Prefix(t), admin(t, cluster.Servers()...)
	client := connect(t, quick(), cluster.Servers()...)
	size := func(source int) string { return fmt.Sprintf("max.message.bytes=%d", source+16<<10) }
	const hour = 3_600_000
	for i, test := range []struct {
		name   string
		source []string
		spec   TopicSpec
		want   []string
	}{
		{"the broker's defaults", nil, TopicSpec{}, []string{size(1_048_588), fmt.Sprintf("retention.ms=%d", 7*24*hour)}},
		{
			"its own", []string{"max.message.bytes=4000000", "retention.ms=86400000", "retention.bytes=1000000",
				"cleanup.policy=compact,delete"}, TopicSpec{},
			[]string{size(4_000_000), "retention.ms=86400000"},
		},
		{"and a delay", []string{"retention.ms=86400000"}, TopicSpec{Delay: 240 * time.Hour},
			[]string{size(1_048_588), fmt.Sprintf("retention.ms=%d", 11*24*hour)}},
		{"for ever", []string{"retention.ms=-1"}, TopicSpec{Delay: time.Hour}, []string{size(1_048_588), "retention.ms=-1"}},
		{
			"the largest there are", []string{"max.message.bytes=2147483647", fmt.Sprintf("retention.ms=%d", math.MaxInt64-5)},
			TopicSpec{Delay: time.Hour},
			[]string{"max.message.bytes=2147483647", fmt.Sprintf("retention.ms=%d", int64(math.MaxInt64))},
		},
		{"a retention that is asked for", []string{"retention.ms=86400000"}, TopicSpec{Retention: time.Hour},
			[]string{size(1_048_588), "retention.ms=3600000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := fmt.Sprintf("%ssource%d", prefix, i)
			createTopicWith(t, raw, source, test.source...)
			ownConfigs(t, raw, source) // the broker has heard of it
			test.spec.Source = source
			if err := client.EnsureTopic(t.Context(), source+".dead", test.spec); err != nil {
				t.Fatal(err)
			}
			if got := ownConfigs(t, raw, source+".dead"); !slices.Equal(got, test.want) {
				t.Errorf("created with %q, want %q", got, test.want)
			}
		})
	}
}

// What may not be read, is gone, or cannot be asked for, is left to the broker, and one line says so. What passes is
// asked again.
func TestTopicWhoseSourceCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		code  *kerr.Error // once; nil: the source is not there
		known bool        // by the broker
		told  string
		want  []string
	}{
		{"not allowed", kerr.TopicAuthorizationFailed, true, "allow DescribeConfigs", nil},
		{"gone", nil, true, "Unknown Topic Or Partition", nil},
		{"a broker that does not know it", nil, false, "broker too old", nil},
		{"a fault that passes", kerr.CoordinatorLoadInProgress, true, "", []string{"max.message.bytes=16484",
			"retention.ms=100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			versions := kversion.V3_9_0()
			if !test.known {
				versions.SetMaxKeyVersion(kmsg.DescribeConfigs.Int16(), -1)
			}
			cluster := fake(t, kfake.MaxVersions(versions))
			if test.code != nil {
				createTopicWith(t, admin(t, cluster.ListenAddrs()...), "s", "max.message.bytes=100", "retention.ms=100")
				cluster.ControlKey(kmsg.DescribeConfigs.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
					response := r.ResponseKind().(*kmsg.DescribeConfigsResponse)
					resource := kmsg.NewDescribeConfigsResponseResource()
					resource.ResourceType, resource.ResourceName, resource.ErrorCode = kmsg.ConfigResourceTypeTopic, "s",
						test.code.Code
					response.Resources = append(response.Resources, resource)
					return response, nil, true
				})
			}
			client, log := connectLogged(t, quick(), cluster.ListenAddrs()...)
			_, last := asked(cluster, nil)
			if err := client.EnsureTopic(t.Context(), "s.g.dead", TopicSpec{Source: "s"}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range last.Load().Configs {
				got = append(got, c.Name+"="+*c.Value)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("created with %q, want %q", got, test.want)
			}
			lines := strings.Count(log.String(), "level=WARN")
			if told := test.told != ""; told != (lines == 1) || !strings.Contains(log.String(), test.told) {
				t.Errorf("the log has %d warnings:\n%s", lines, log)
			}
		})
	}
}
