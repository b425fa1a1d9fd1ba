package cliflags_test

import (
	"slices"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
)

func TestVariable(t *testing.T) {
	t.Parallel()
	if v := cliflags.Variable("kafka-servers"); v != "KAFKAESK_KAFKA_SERVERS" {
		t.Error(v)
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	const want = ": want host:port, like localhost:9092"
	for _, tt := range []struct {
		lists   []string
		servers []string
		err     string
	}{
		{lists: []string{"a:1"}, servers: []string{"a:1"}},
		{lists: []string{" a:1, b:2,", "[::1]:9092"}, servers: []string{"a:1", "b:2", "[::1]:9092"}},
		{lists: []string{"a:1,b"}, err: "server 2" + want},
		{lists: []string{"a:0"}, err: "server 1" + want},
		{lists: []string{"a:65536"}, err: "server 1" + want},
		{lists: []string{":1"}, err: "server 1" + want},
		{lists: []string{"user:secret@b:1"}, err: "server 1" + want},
		{lists: []string{"", " , "}, err: "the list is empty" + want},
		{err: "the list is empty" + want},
	} {
		servers, err := cliflags.Servers(tt.lists...)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !slices.Equal(servers, tt.servers) || text != tt.err {
			t.Errorf("%q: got %q, %q", tt.lists, servers, text)
		}
	}
}

func TestListenAddress(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		":9100": "127.0.0.1:9100", "localhost:0": "localhost:0", "0.0.0.0:9100": "0.0.0.0:9100", "[::]:9100": "[::]:9100",
		"9100": "", "localhost": "", ":http": "", ":65536": "", "": "",
	} {
		if got, err := cliflags.ListenAddress(value); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", value, got, err, want)
		}
	}
}
