package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// hook is a function of OnInitialize or of OnFinalize. Both stand in one list, in the order in which they were added,
// because a function of OnFinalize ends what those of OnInitialize before it have begun.
type hook struct {
	call  func(context.Context) error
	final bool // of OnFinalize
}

var errNoFunction = errors.New("the function is nil")

// OnInitialize adds a function that [App.Initialize] calls once the brokers answer, in the order in which they were
// added. An error of a function is an error of Initialize, which calls that function again when it is called again. A
// function that has succeeded is not called again. A function that is added to an initialized App is called by the
// next Initialize or [App.Run]; until then [App.Health] returns an error. After [App.Close] the function is never
// called, and the log says so.
//
// The function may publish with the context that it is given. With another context it would wait for the Initialize
// that calls it.
func (a *App) OnInitialize(f func(context.Context) error) { a.addHook("OnInitialize", hook{call: f}) }

// OnFinalize adds a function that [App.Close] calls before it ends the producer; the one added last is called first.
// The function may publish. It may be added at any time before Close has ended. Later it is never called, and the log
// says so.
//
// It is called only when all functions of [App.OnInitialize] that were added before it have succeeded. If there are
// none, it is called only when the App was initialized.
func (a *App) OnFinalize(f func(context.Context) error) {
	a.addHook("OnFinalize", hook{call: f, final: true})
}

func (a *App) addHook(name string, h hook) {
	if a == nil {
		return
	}
	a.mu.Lock()
	tooLate := a.closing && !h.final || a.finalized
	if h.call != nil && !tooLate {
		a.hooks = append(a.hooks, h)
	}
	a.mu.Unlock()
	switch {
	case h.call == nil:
		a.misused(name, errNoFunction)
	case tooLate:
		a.misused(name, fmt.Errorf("the function is never called: %w", ErrClosed))
	}
}

// misused logs that a method that returns no error was called in vain, and keeps the first such error for Initialize,
// Run and Health.
func (a *App) misused(method string, err error) {
	err = fmt.Errorf("bus: %s: %w", method, err)
	a.mu.Lock()
	if a.misuse == nil {
		a.misuse = err
	}
	a.mu.Unlock()
	a.log.Logger().Error("bus: a call is in vain", "error", err)
}

// nextInitialize returns the first function of OnInitialize that has not succeeded; nil when all have.
func (a *App) nextInitialize() func(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.succeeded < len(a.hooks) && a.hooks[a.succeeded].final {
		a.succeeded++
	}
	if a.succeeded == len(a.hooks) {
		return nil
	}
	return a.hooks[a.succeeded].call
}

// initializeSucceeded records that the function that nextInitialize returned has succeeded.
func (a *App) initializeSucceeded() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.succeeded++
}

// unfinishedLocked returns what keeps the App from being all that was asked of it; nil when nothing does.
func (a *App) unfinishedLocked() error {
	if slices.ContainsFunc(a.hooks[a.succeeded:], func(h hook) bool { return !h.final }) {
		return errors.Join(a.misuse, errors.New("bus: functions of OnInitialize were added after the App was "+
			"initialized, and wait for the next Initialize or Run"))
	}
	return a.misuse
}

// nextFinalize removes the last function of OnFinalize that may be called, and returns it; nil when there is none left.
func (a *App) nextFinalize() func(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.hooks) - 1; i >= 0; i-- {
		h := a.hooks[i]
		if !h.final {
			continue
		}
		isInitialize := func(h hook) bool { return !h.final }
		begun := min(i, a.succeeded)
		due := !slices.ContainsFunc(a.hooks[begun:i], isInitialize) &&
			(a.ready.Load() || slices.ContainsFunc(a.hooks[:begun], isInitialize))
		a.hooks = slices.Delete(a.hooks, i, i+1)
		if i < a.succeeded {
			a.succeeded--
		}
		if due {
			return h.call
		}
	}
	a.finalized = true
	return nil
}

var (
	// anytime are the fields of Config that count from Configure on.
	anytime = []string{"Logger", "PublishTimeout"}
	// betweenRuns are those that count from the next Run on.
	betweenRuns = []string{"ManualCommit", "DrainTimeout", "TracerProvider"}
)

// Configure replaces the fields that are set in c. Call it before the App's first use. An App that is connecting begins
// anew with the new configuration. After it has connected, Logger and PublishTimeout can change at any time, and
// ManualCommit, DrainTimeout and TracerProvider while no Run is running. If c changes any other field then, that is an
// error, and nothing of c takes effect. The error is logged at once, and [App.Initialize], [App.Run] and [App.Health]
// return it from then on.
func (a *App) Configure(c Config) {
	if a == nil {
		return
	}
	a.mu.Lock()
	fixed := a.fixedLocked(c)
	if len(fixed) == 0 {
		a.configure(c)
		if a.reconnect != nil {
			a.reconnect()
		}
	}
	a.mu.Unlock()
	if len(fixed) > 0 {
		a.misused("Configure", fmt.Errorf("it comes too late to change %s, and changes nothing: call it before the App "+
			"is used, which logging through it is, too", strings.Join(fixed, ", ")))
	}
}

// fixedLocked returns the fields that c would change and that cannot change any more.
func (a *App) fixedLocked(c Config) []string {
	if a.conn.Load() == nil && !a.closing {
		return nil
	}
	free := anytime
	if a.running == nil && a.preparing == 0 {
		free = slices.Concat(anytime, betweenRuns)
	}
	var fixed []string
	set, is := reflect.ValueOf(c), reflect.ValueOf(a.cfg)
	for i, f := range reflect.VisibleFields(set.Type()) {
		if set.Field(i).IsZero() || slices.Contains(free, f.Name) {
			continue
		}
		var same bool
		switch f.Name {
		case "Settings":
			same = kafka.SameSettings(c.Settings, a.cfg.Settings)
		case "TLS":
			same = a.sameTLSLocked(c.TLS)
		default:
			same = reflect.DeepEqual(set.Field(i).Interface(), is.Field(i).Interface())
		}
		if !same {
			fixed = append(fixed, f.Name)
		}
	}
	return fixed
}

// sameTLSLocked reports whether c is what Config.TLS is already. Functions are equal to nothing: those of the very
// Config that was given before count as the same.
func (a *App) sameTLSLocked(c *tls.Config) bool {
	set, is := c.Clone(), a.cfg.TLS.Clone()
	if c == a.givenTLS {
		for _, clone := range []*tls.Config{set, is} {
			v := reflect.ValueOf(clone).Elem()
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.Func && f.CanSet() {
					f.SetZero()
				}
			}
		}
	}
	return reflect.DeepEqual(set, is)
}

// Use adds a middleware around every handler of the App. The first one added is the outermost; those of a [Router]
// lie inside. Add it before [App.Run]: while a Run is running it takes effect with the next one. The log says so at
// once, and [App.Health] until then.
func (a *App) Use(m Middleware) {
	switch {
	case a == nil:
		return
	case m == nil:
		a.misused("Use", errNoFunction)
		return
	}
	a.mu.Lock()
	a.middleware = append(a.middleware, m)
	a.mu.Unlock()
	a.forNextRun("Use")
}

// OnConsumed adds a function that is called after each record that a subscription has worked on, in the goroutine of
// its lane. It is for metrics. It has to be quick, and may be called concurrently. Add it before [App.Run]: while a
// Run is running it takes effect with the next one. The log says so at once, and [App.Health] until then.
func (a *App) OnConsumed(f func(context.Context, Consumed)) {
	switch {
	case a == nil:
		return
	case f == nil:
		a.misused("OnConsumed", errNoFunction)
		return
	}
	a.mu.Lock()
	a.observers = append(a.observers, f)
	a.mu.Unlock()
	a.forNextRun("OnConsumed")
}

// forNextRun tells that what a method has just added comes too late for the run that is under way, if one is.
func (a *App) forNextRun(method string) {
	a.mu.Lock()
	closed, running := a.closing, a.running != nil || a.preparing > 0
	err := fmt.Errorf("bus: %s: the App runs already: what was added takes effect with the next Run", method)
	if running && a.late == nil {
		a.late = err
	}
	a.mu.Unlock()
	switch {
	case closed:
		a.misused(method, ErrClosed)
	case running:
		a.log.Logger().Error("bus: a call comes too late", "error", err)
	}
}
