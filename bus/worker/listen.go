package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

const (
	// Time limits of the monitor's server. A stream of events sets its own write timeout.
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	// maxRequestHeader is far more than a scrape or a browser sends.
	maxRequestHeader = 16 << 10
	// shutdownTimeout bounds the requests that are in progress when the program ends.
	shutdownTimeout = time.Second
)

// monitorServer serves the monitor until it is closed.
type monitorServer struct {
	http   http.Server
	cancel context.CancelFunc // ends event streams
	ended  chan struct{}
}

// startMonitor listens at address and serves handler.
func startMonitor(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (*monitorServer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the monitor: %w", err)
	}
	// Requests end with the server, not with the App, so that a drain can be watched.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &monitorServer{cancel: cancel, ended: make(chan struct{}), http: http.Server{
		Handler: handler, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxRequestHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}}
	log.Info("worker: the monitor listens", "url", webpage.URL(address, listener.Addr()))
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("worker: the monitor has ended", "error", err)
		}
	}()
	return s, nil
}

// close stops the server and waits for it. A nil server means that --listen was not given.
func (s *monitorServer) close() {
	if s == nil {
		return
	}
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // cut off the requests that did not end
	}
	<-s.ended
}
