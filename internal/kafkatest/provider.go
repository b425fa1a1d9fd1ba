package kafkatest

import (
	"os"
	"strings"
	"testing"
)

// provider starts clusters of one kind.
type provider interface {
	// cannot returns why it cannot provide such a cluster, or "".
	cannot(r request) string
	start(r request) (backend, error)
}

// newProvider parses KAFKA. An invalid value fails the test.
func newProvider(t testing.TB) provider {
	t.Helper()
	switch kafka := os.Getenv("KAFKA"); {
	case kafka == "" || kafka == "embedded":
		return embeddedProvider{}
	case kafka == "apache" || strings.HasPrefix(kafka, "apache:"):
		_, version, _ := strings.Cut(kafka, ":")
		return apacheProvider{version: version, shared: os.Getenv("KAFKATEST_SHARED")}
	case kafka == "docker":
		return dockerProvider{}
	case strings.Contains(kafka, ":"):
		return externalProvider{addrs: strings.Split(kafka, ",")}
	default:
		t.Fatalf("kafkatest: KAFKA=%q: want embedded, apache, apache:VERSION, docker or host:port[,host:port]", kafka)
		return nil
	}
}
