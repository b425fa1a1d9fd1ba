package bus

import (
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/monitoring"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
)

// Monitoring returns what package monitor needs of an App beside its public methods. Its type keeps it inside this
// module.
func (a *App) Monitoring() monitoring.App { return monitored{a} }

// monitored is an App as the monitor sees it.
type monitored struct{ app *App }

func (m monitored) Connections() []kafka.ConnStats {
	if c := m.app.conn.Load(); c != nil {
		return c.client.Connections()
	}
	if client := m.app.connects.Load(); client != nil { // no broker has answered it yet
		return client.Connections()
	}
	return nil
}

func (m monitored) TopicPrefix() string {
	m.app.mu.Lock()
	defer m.app.mu.Unlock()
	return m.app.cfg.TopicPrefix
}

func (m monitored) Problems() []monitoring.Problem { return m.app.problems() }

func (m monitored) LogHandlers() []shipping.Attached { return m.app.logs.handlers() }
