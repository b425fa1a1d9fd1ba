// Package orders takes orders and bills them.
package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// Streams of the service.
const (
	Placed = "orders.placed"
	Billed = "orders.billed"
)

// Order is what customers send. The tags are its JSON Schema: an order that breaks it is never published.
type Order struct {
	ID     string `json:"id" jsonschema:"minLength=1,maxLength=40"`
	Amount int    `json:"amount" jsonschema:"minimum=1"`
}

// Invoice is published for each order that was billed.
type Invoice struct {
	Order string `json:"order"`
	Total int    `json:"total"`
}

// orderLog puts the order into a log record as fields of its own.
type orderLog struct {
	logrecord.Model
	Order string `json:"order"`
}

// Service is the application. Its state is in memory: a real one keeps it in a database.
type Service struct {
	app *bus.App

	mu     sync.Mutex
	billed map[string]Invoice
}

// New declares on the App what the service publishes and handles.
func New(app *bus.App) *Service {
	s := &Service{app: app, billed: make(map[string]Invoice)}
	bus.MustSchema[Order](app, "Order", bus.Streams(Placed))
	bus.MustSchema[Invoice](app, "Invoice", bus.Streams(Billed))
	bus.MustSubscribe(app, Placed, s.bill, bus.Group("billing"), bus.DeadLetter())
	return s
}

// errNoCredit is why an order cannot be billed, however often that is tried.
var errNoCredit = errors.New("no credit above 1000")

// bill handles an order. An order may come twice, after a crash: an invoice for it is made once.
func (s *Service) bill(ctx context.Context, o Order) error {
	if o.Amount > 1000 {
		return bus.Reject(fmt.Errorf("order %s: %w", o.ID, errNoCredit)) // it goes to the dead letters
	}
	invoice := Invoice{Order: o.ID, Total: o.Amount}
	s.mu.Lock()
	_, again := s.billed[o.ID]
	s.billed[o.ID] = invoice
	s.mu.Unlock()
	if again {
		return nil
	}
	if err := s.app.Publish(ctx, Billed, invoice, bus.Key(o.ID)); err != nil {
		s.mu.Lock()
		delete(s.billed, o.ID) // the bus tries the order again
		s.mu.Unlock()
		return err
	}
	slog.InfoContext(ctx, "order billed", logrecord.Attr(orderLog{Order: o.ID}))
	return nil
}

// Invoice returns the invoice of an order, if it is billed.
func (s *Service) Invoice(order string) (Invoice, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	invoice, ok := s.billed[order]
	return invoice, ok
}
