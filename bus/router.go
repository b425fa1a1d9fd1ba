package bus

import (
	"fmt"
	"slices"
	"sync"
)

// Registrar is what schemas and subscriptions are declared with: an [App] or a [Router].
type Registrar interface {
	declare(*declaration) error
	subscribe(*subscription) error
}

// Router collects schemas and subscriptions, for a package that does not know the App it will be part of. [App.Mount] adds them to
// one. Its methods may be called concurrently.
type Router struct {
	mu            sync.Mutex
	declarations  []*declaration
	subscriptions []*subscription
}

// NewRouter returns an empty Router.
func NewRouter() *Router { return new(Router) }

func (r *Router) declare(d *declaration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.declarations {
		if err := clash(other, d); err != nil {
			return err
		}
	}
	r.declarations = append(r.declarations, d)
	return nil
}

func (r *Router) subscribe(s *subscription) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clip(r.subscriptions), s)
	if err := checkNames("", all); err != nil {
		return err
	}
	r.subscriptions = all
	return nil
}

// Mount adds what has been declared with r to the App: all of it, or nothing and an error, as a [*SchemaConflictError] when the App has one
// of its schemas already. It has to come before [App.Run]. What is declared with r later is not part of the App. A Router can be mounted
// in several Apps.
func (a *App) Mount(r *Router) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.mountable(); len(r.subscriptions) > 0 && err != nil {
		return fmt.Errorf("bus: mount: %w", err)
	}
	all := slices.Concat(a.subscriptions, r.subscriptions)
	if err := checkNames(a.cfg.TopicPrefix, all); err != nil {
		return fmt.Errorf("bus: mount: %w", err)
	}
	if err := a.schemas.add(r.declarations...); err != nil {
		return fmt.Errorf("bus: mount: %w", err)
	}
	a.subscriptions = all
	return nil
}

func (a *App) subscribe(s *subscription) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.mountable(); err != nil {
		return err
	}
	all := append(slices.Clip(a.subscriptions), s)
	if err := checkNames(a.cfg.TopicPrefix, all); err != nil {
		return err
	}
	a.subscriptions = all
	return nil
}

// mountable tells whether subscriptions may be added.
func (a *App) mountable() error {
	switch {
	case a.closing:
		return ErrClosed
	case a.running != nil:
		return errRunning
	}
	return nil
}

// Use adds a middleware around every handler of the App. The first one added is the outermost. It has to come before [App.Run]: later it
// takes effect with the next one.
func (a *App) Use(m Middleware) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.middleware = append(a.middleware, m)
}
