package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Registrar is what schemas and subscriptions are declared with: an *[App] or a *[Router].
type Registrar interface {
	declare(*declaration) error
	subscribe(*subscription) error
}

// checkRegistrar returns that there is nothing to declare with.
func checkRegistrar(r Registrar) error {
	switch r := r.(type) {
	case nil:
		return errors.New("there is no App and no Router: make one with bus.New or bus.NewRouter")
	case *App:
		if r == nil {
			return errNilApp
		}
	case *Router:
		if r == nil {
			return errNilRouter
		}
	}
	return nil
}

var (
	errNilApp    = errors.New("the App is nil: make it with bus.New")
	errNilRouter = errors.New("the Router is nil: make it with bus.NewRouter")
)

// Router collects schemas, subscriptions, middleware, and functions for the App's start and end. It is for a package
// that does not know the App it will be part of; [App.Mount] adds it to one. Its methods may be called concurrently.
// A nil Router is an error of Schema, Subscribe and Mount; its own methods do nothing.
type Router struct {
	mu            sync.Mutex
	declarations  []*declaration
	subscriptions []*subscription
	middleware    []Middleware
	hooks         []hook
	misuse        error // the first call in vain of a method that returns no error: of Mount
}

// NewRouter returns an empty Router.
func NewRouter() *Router { return new(Router) }

// OnInitialize adds a function to those of [App.OnInitialize] of the App that the Router is mounted in. A nil function
// is an error of [App.Mount].
func (r *Router) OnInitialize(f func(context.Context) error) {
	r.add("OnInitialize", f == nil, func() { r.hooks = append(r.hooks, hook{call: f}) })
}

// OnFinalize adds a function to those of [App.OnFinalize] of the App that the Router is mounted in: it is called only
// when the functions of OnInitialize before it have succeeded. A nil function is an error of [App.Mount].
func (r *Router) OnFinalize(f func(context.Context) error) {
	r.add("OnFinalize", f == nil, func() { r.hooks = append(r.hooks, hook{call: f, final: true}) })
}

// Use adds a middleware around the Router's own handlers, those that are subscribed before and after it, and no others
// of the App. The first one added is the outermost; those of [App.Use] lie around them. A nil Middleware is an error of
// [App.Mount].
func (r *Router) Use(m Middleware) {
	r.add("Use", m == nil, func() { r.middleware = append(r.middleware, m) })
}

func (r *Router) add(method string, isNil bool, add func()) {
	if r == nil { // which Mount refuses
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !isNil:
		add()
	case r.misuse == nil:
		r.misuse = fmt.Errorf("Router.%s: %w", method, errNoFunction)
	}
}

func (r *Router) declare(d *declaration) error {
	if r == nil { // in a struct that embeds one, which checkRegistrar cannot see
		return errNilRouter
	}
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
	if r == nil {
		return errNilRouter
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clip(r.subscriptions), s)
	if err := checkNames("", all); err != nil {
		return err
	}
	r.subscriptions = all
	return nil
}

// Mount adds what the Router has to the App: all of it, or nothing and an error, such as a *[SchemaConflictError] when
// the App has one of its schemas already. Call it before [App.Run]: while one is running it is an error, except for a
// Router of schemas alone. When the App is initialized already, the next Initialize or Run calls the Router's functions
// of OnInitialize: see [App.OnInitialize]. What is declared with r later is not part of the App. A Router can be
// mounted in several Apps.
func (a *App) Mount(r *Router) error {
	if err := a.mount(r); err != nil {
		return fmt.Errorf("bus: mount: %w", err)
	}
	return nil
}

func (a *App) mount(r *Router) error {
	if err := errors.Join(checkRegistrar(a), checkRegistrar(r)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.misuse != nil {
		return r.misuse
	}
	if err := a.mountable(); len(r.subscriptions)+len(r.hooks) > 0 && err != nil {
		return err
	}
	all := slices.Clip(a.subscriptions)
	for _, s := range r.subscriptions {
		own := *s
		own.middleware = r.middleware
		all = append(all, &own)
	}
	if err := checkNames(a.cfg.TopicPrefix, all); err != nil {
		return err
	}
	if err := a.schemas.add(r.declarations...); err != nil {
		return err
	}
	a.subscriptions, a.hooks = all, append(a.hooks, r.hooks...)
	return nil
}

func (a *App) subscribe(s *subscription) error {
	if a == nil {
		return errNilApp
	}
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

// mountable reports whether subscriptions may be added.
func (a *App) mountable() error {
	switch {
	case a.closing:
		return ErrClosed
	case a.running != nil:
		return errRunning
	}
	return nil
}
