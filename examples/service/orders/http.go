package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// maxOrder is the maximum size of a request's body.
const maxOrder = 64 << 10

// Handler is the HTTP API.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.create)
	mux.HandleFunc("GET /orders/{id}", s.show)
	return mux
}

// create publishes an order. It answers when the broker has acknowledged the order.
func (s *Service) create(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o); err != nil {
		http.Error(w, "an order is a JSON object such as {\"id\":\"a1\",\"amount\":5}", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	var invalid *bus.ValidationError
	switch err := s.app.Publish(ctx, Placed, o, bus.Key(o.ID)); {
	case errors.As(err, &invalid):
		http.Error(w, invalid.Error(), http.StatusUnprocessableEntity)
	case err != nil:
		slog.ErrorContext(ctx, "order not published", "error", err)
		http.Error(w, "the order was not accepted: try again", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *Service) show(w http.ResponseWriter, r *http.Request) {
	invoice, ok := s.Invoice(r.PathValue("id"))
	if !ok {
		http.Error(w, "not billed", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(invoice); err != nil {
		slog.ErrorContext(r.Context(), "answer not written", "error", err)
	}
}

// Serve serves a handler at an address from the App's start to its end.
func Serve(app *bus.App, handler http.Handler, address string) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second}
	served := make(chan error, 1)
	app.OnInitialize(func(ctx context.Context) error {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("the HTTP API: %w", err)
		}
		slog.Info("HTTP API started", "url", "http://"+listener.Addr().String())
		go func() { served <- server.Serve(listener) }()
		return nil
	})
	app.OnFinalize(func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return err
	})
}
