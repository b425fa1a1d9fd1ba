// Package cliflags is what the programs' command lines have in common: the environment variables that stand in for
// flags, and the form of what both hold. Its errors never hold a value, because a value may be a secret.
package cliflags

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Variable returns the name of the environment variable that stands in for a flag, as KAFKAESK_TOPIC_PREFIX for
// topic-prefix. An empty variable counts as not set.
func Variable(flag string) string {
	return "KAFKAESK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Servers reads lists of brokers, each host:port, separated by commas.
func Servers(lists ...string) ([]string, error) {
	var servers []string
	for server := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		if !kafka.IsServer(server) {
			return nil, fmt.Errorf("server %d: want host:port, like localhost:9092", len(servers)+1)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, errors.New("there is no server in it: want host:port, like localhost:9092")
	}
	return servers, nil
}
