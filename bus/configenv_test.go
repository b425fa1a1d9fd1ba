package bus_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestConfigFromEnv(t *testing.T) {
	const prefix = "KAFKAESK_"
	for _, name := range []string{"KAFKA_SERVERS", "KAFKA_SETTINGS", "TOPIC_PREFIX", "REPLICATION_FACTOR",
		"DRAIN_TIMEOUT"} {
		t.Setenv(prefix+name, "") // as good as not set, and set back at the end
	}
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(`{"client_id":"file"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want bus.Config
		err  string // part of it
	}{
		"nothing": {},
		"all": {
			env: map[string]string{"KAFKA_SERVERS": "a:1, b:2", "KAFKA_SETTINGS": `{"linger_ms":1}`, "TOPIC_PREFIX": "p.",
				"REPLICATION_FACTOR": "2", "DRAIN_TIMEOUT": "1m"},
			want: bus.Config{Servers: []string{"a:1", "b:2"}, Settings: bus.Settings{"linger_ms": 1.0}, TopicPrefix: "p.",
				ReplicationFactor: 2, DrainTimeout: time.Minute},
		},
		"a file": {
			env:  map[string]string{"KAFKA_SETTINGS": "@" + file},
			want: bus.Config{Settings: bus.Settings{"client_id": "file"}},
		},
		"no file": {env: map[string]string{"KAFKA_SETTINGS": "@" + file + ".not"},
			err: "$KAFKAESK_KAFKA_SETTINGS: open"},
		"a server": {env: map[string]string{"KAFKA_SERVERS": "secret"},
			err: "$KAFKAESK_KAFKA_SERVERS: server 1: want host:port"},
		"a setting": {env: map[string]string{"KAFKA_SETTINGS": `{"sasl_password":"secret"}`}, err: "unknown setting"},
		"no JSON": {env: map[string]string{"KAFKA_SETTINGS": "secret"},
			err: "$KAFKAESK_KAFKA_SETTINGS: bus: settings are not"},
		"replicas": {env: map[string]string{"REPLICATION_FACTOR": "0"},
			err: "$KAFKAESK_REPLICATION_FACTOR: want a number"},
		"drain timeout":  {env: map[string]string{"DRAIN_TIMEOUT": "30"}, err: "$KAFKAESK_DRAIN_TIMEOUT: want a duration"},
		"drain negative": {env: map[string]string{"DRAIN_TIMEOUT": "-1s"}, err: "$KAFKAESK_DRAIN_TIMEOUT: want a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(prefix+name, value)
			}
			got, err := bus.ConfigFromEnv()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v, want it to have %q and no value", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
