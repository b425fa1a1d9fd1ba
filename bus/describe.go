package bus

import (
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Describe returns what the App declares, without any I/O, for the commands of kafkaesk. Its type keeps it inside this
// module: a program calls [App.Schemas] and [App.Stats].
func (a *App) Describe() appinfo.App {
	a.mu.Lock()
	cfg, subscriptions := a.cfg, a.subscriptions
	a.mu.Unlock()
	settings, _, err := kafka.ParseSecured(cfg.Settings, cfg.security())
	if err != nil {
		settings = kafka.Settings{} // Initialize says what is wrong
	}
	info := appinfo.App{
		SecurityProtocol: settings.SecurityProtocol,
		Servers:          cfg.Servers, TopicPrefix: cfg.TopicPrefix, ReplicationFactor: cfg.ReplicationFactor,
		Schemas: []appinfo.Schema{}, Subscriptions: []appinfo.Subscription{},
	}
	for _, s := range a.Schemas() {
		info.Schemas = append(info.Schemas, appinfo.Schema{
			ID: s.ID, Version: s.Version, RetentionMS: s.Retention.Milliseconds(), Partitions: s.Partitions,
			TopicConfigs: s.TopicConfigs, Streams: append([]string{}, s.Streams...), JSONSchema: s.JSON,
		})
	}
	for _, s := range subscriptions {
		delays := make([]int64, len(s.delays))
		for i, d := range s.delays {
			delays[i] = d.Milliseconds()
		}
		info.Subscriptions = append(info.Subscriptions, appinfo.Subscription{
			Patterns: slices.Clone(s.patterns), Group: s.group, Handler: s.handler, DeadLetter: s.deadLetter, RetryMS: delays,
		})
	}
	return info
}
