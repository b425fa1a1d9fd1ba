package monitor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

// cluster holds the brokers' view of the App's streams and groups.
type cluster struct {
	info    cached[inspect.Info]
	streams cached[[]inspect.Stream]
	groups  cached[[]inspect.Group]
	dead    cached[[]inspect.DeadLetters]
}

func newCluster(app *bus.App) *cluster {
	return &cluster{
		info: cached[inspect.Info]{ask: through(app, (*inspect.Inspector).Info)},
		streams: cached[[]inspect.Stream]{ask: through(app,
			func(i *inspect.Inspector, ctx context.Context) ([]inspect.Stream, error) {
				known := streamsOf(app)
				return i.Streams(ctx, func(stream string) bool { return known[stream] })
			})},
		groups: cached[[]inspect.Group]{ask: through(app,
			func(i *inspect.Inspector, ctx context.Context) ([]inspect.Group, error) {
				groups := groupsOf(app)
				if len(groups) == 0 {
					return []inspect.Group{}, nil // no name means all groups of the cluster
				}
				return i.Groups(ctx, groups...)
			})},
		dead: cached[[]inspect.DeadLetters]{ask: through(app,
			func(i *inspect.Inspector, ctx context.Context) ([]inspect.DeadLetters, error) {
				groups := groupsOf(app)
				all, err := i.DeadLetters(ctx)
				all = slices.DeleteFunc(all, func(d inspect.DeadLetters) bool { return !slices.Contains(groups, d.Group) })
				if err != nil || len(all) == 0 {
					return all, err
				}
				return all, i.CountOpen(ctx, all)
			})},
	}
}

// refresh updates the data of the page that are older than cacheTime.
func (c *cluster) refresh(ctx context.Context) {
	var asking sync.WaitGroup
	asking.Go(func() { _, _, _ = c.streams.get(ctx) })
	asking.Go(func() { _, _, _ = c.groups.get(ctx) })
	asking.Go(func() { _, _, _ = c.dead.get(ctx) })
	asking.Wait()
}

// keepFresh refreshes until ctx ends.
func (c *cluster) keepFresh(ctx context.Context) {
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		c.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// through calls ask with an Inspector on the App's connections.
func through[T any](app *bus.App, ask func(*inspect.Inspector, context.Context) (T, error)) func(context.Context) (
	T, error,
) {
	return func(ctx context.Context) (value T, err error) {
		i := app.Inspector()
		if i == nil {
			return value, errNotInitialized
		}
		return ask(i, ctx)
	}
}

// groupsOf returns the groups of the App's subscriptions.
func groupsOf(app *bus.App) []string {
	var groups []string
	for _, s := range app.Stats().Subscriptions {
		groups = append(groups, s.Group)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// streamsOf returns the streams that the App knows.
func streamsOf(app *bus.App) map[string]bool {
	known := make(map[string]bool)
	for _, s := range app.Stats().Streams {
		known[s.Stream] = true
	}
	return known
}
