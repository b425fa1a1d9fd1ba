package bus

import (
	"fmt"
	"os"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// ConfigFromEnv returns a Config from the environment variables that workers, kafkaesk and logtail read. It is for a
// program that does not call worker.Main. A variable that is not set or empty leaves its field at its zero value.
//
//   - KAFKAESK_KAFKA_SERVERS: [Config.Servers], as host:port[,host:port]
//   - KAFKAESK_KAFKA_SETTINGS: [Config.Settings], as a JSON object, or @ and the name of a file that holds one. When
//     others can read a file that has a password, a warning on standard error says so.
//   - KAFKAESK_TOPIC_PREFIX: [Config.TopicPrefix]
//   - KAFKAESK_REPLICATION_FACTOR: [Config.ReplicationFactor]
//   - KAFKAESK_DRAIN_TIMEOUT: [Config.DrainTimeout], as in 30s
//
// An error names the variable, and not its value, which may be a secret. Without servers there is no error here, but
// [ErrNotConfigured] from [App.Initialize].
func ConfigFromEnv() (Config, error) {
	c := Config{TopicPrefix: os.Getenv(cliflags.Variable("topic-prefix"))}
	for _, v := range []struct {
		flag string
		set  func(value string) error
	}{
		{"kafka-servers", func(value string) (err error) {
			c.Servers, err = cliflags.Servers(value)
			return err
		}},
		{"kafka-settings", func(value string) error {
			text, warning, err := cliflags.Contents(value)
			if warning != "" {
				ownlog.Logger(nil).Warn("bus: settings: " + warning)
			}
			if err == nil {
				c.Settings, err = ParseSettings(text)
			}
			return err
		}},
		{"replication-factor", func(value string) (err error) {
			c.ReplicationFactor, err = cliflags.ReplicationFactor(value)
			return err
		}},
		{"drain-timeout", func(value string) (err error) {
			c.DrainTimeout, err = cliflags.Duration(value)
			return err
		}},
	} {
		name := cliflags.Variable(v.flag)
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if err := v.set(value); err != nil {
			return Config{}, fmt.Errorf("bus: $%s: %w", name, err)
		}
	}
	return c, nil
}
