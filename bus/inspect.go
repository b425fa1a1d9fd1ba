package bus

import "github.com/kafkaesk/kafkaesk/internal/inspect"

// Inspector returns what package bus/monitor needs of an App beside its public methods: it looks at the cluster through
// the App's connections. It is nil until the App is initialized. Its type keeps it inside this module.
func (a *App) Inspector() *inspect.Inspector {
	c := a.conn.Load()
	if c == nil {
		return nil
	}
	return inspect.New(c.client, c.prefix)
}
