package monitor_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/browsertest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

var pictures = flag.Bool("pictures", false,
	"write the pictures of the documentation: go test ./bus/monitor -run TestPictures -pictures")

// TestPictures takes the pictures of the documentation: the page, light, dark and on a phone.
func TestPictures(t *testing.T) {
	t.Parallel()
	dir, load := t.TempDir(), time.Second
	if *pictures {
		dir, load = filepath.Join("..", "..", "docs"), 25*time.Second
	}
	w := newWorld(t)
	app := bus.New(bus.Config{Servers: w.cluster.Servers(), Logger: testkit.Logger(t), DrainTimeout: time.Second})
	t.Cleanup(func() { _ = app.Close(context.Background()) })
	type order struct {
		ID    int    `json:"id"`
		Total string `json:"total"`
	}
	bus.MustSchema[order](app, "Order", bus.Streams("shop.orders"), bus.Retention(48*time.Hour))
	bus.MustSchema[Content](app, "Content", bus.Version(2), bus.Streams("shop.content"))
	slow := func(d time.Duration) func(context.Context, *bus.Record) error {
		return func(ctx context.Context, r *bus.Record) error {
			if r.Offset%97 == 13 {
				return bus.Reject(errors.New("order 4711: the address has no country: correct it, and replay the dead letter"))
			}
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	}
	bus.MustSubscribe(app, "shop.orders", slow(80*time.Millisecond), bus.Group("billing"), bus.DeadLetter())
	bus.MustSubscribe(app, "shop.*", slow(0), bus.Group("search"), bus.DeadLetter())
	logs := slogkafka.NewHandler(app, "logs.shop")
	log := slog.New(logs)
	h := monitor.Handler(app)
	w.run(app)
	ctx, cancel := context.WithTimeout(t.Context(), load)
	defer cancel()
	for i := 0; ctx.Err() == nil; i++ {
		log.Info("order placed", slog.Int("id", i))
		_ = app.Publish(ctx, "shop.orders", order{i, "39.90 EUR"})
		if i%3 == 0 {
			_ = app.Publish(ctx, "shop.content", Content{Title: "text"})
		}
		if i%50 == 0 {
			scrape(t, h)
		}
		time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond)
	}
	url := under(t, "", h)
	browser := browsertest.New(t)
	page := browser.Open(url, 1280, 1000)
	page.Until(cellOf("groups", "billing", "State") + ` === "stable"`)
	page.Screenshot(filepath.Join(dir, "monitor.png"))
	page.Dark()
	page.Screenshot(filepath.Join(dir, "monitor-dark.png"))
	phone := browser.Open(url+"#groups", 390, 760)
	phone.Until(cellOf("groups", "billing", "State") + ` === "stable"`)
	phone.Screenshot(filepath.Join(dir, "monitor-phone.png"))
	page.NoProblems()
}
