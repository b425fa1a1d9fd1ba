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

// Order is a customer's order. The tags define its JSON Schema: an order that violates it is not published.
type Order struct {
	ID     string `json:"id" jsonschema:"minLength=1,maxLength=40"`
	Amount int    `json:"amount" jsonschema:"minimum=1"`
}

// Invoice is published for each billed order.
type Invoice struct {
	Order string `json:"order"`
	Total int    `json:"total"`
}

// orderLog adds the order's fields to a log record.
type orderLog struct {
	logrecord.Model
	Order string `json:"order"`
}

// Service is the application. Its state is in memory: a real service keeps it in a database.
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

// errNoCredit is the error of an order that no retry can bill.
var errNoCredit = errors.New("no credit above 1000")

// bill handles an order. After a crash it may get the same order again: it creates one invoice for each order.
func (s *Service) bill(ctx context.Context, o Order) error {
	if o.Amount > 1000 {
		return bus.Reject(fmt.Errorf("order %s: %w", o.ID, errNoCredit)) // the order becomes a dead letter
	}
	invoice := Invoice{Order: o.ID, Total: o.Amount}
	s.mu.Lock()
	_, alreadyBilled := s.billed[o.ID]
	s.billed[o.ID] = invoice
	s.mu.Unlock()
	if alreadyBilled {
		return nil
	}
	if err := s.app.Publish(ctx, Billed, invoice, bus.Key(o.ID)); err != nil {
		s.mu.Lock()
		delete(s.billed, o.ID) // let the bus retry the order
		s.mu.Unlock()
		return err
	}
	slog.InfoContext(ctx, "order billed", logrecord.Attr(orderLog{Order: o.ID}))
	return nil
}

// Invoice returns the invoice of a billed order.
func (s *Service) Invoice(order string) (Invoice, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	invoice, ok := s.billed[order]
	return invoice, ok
}
