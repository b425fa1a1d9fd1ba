package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

var (
	//go:embed page/index.html
	pageHTML []byte
	//go:embed page/page.js
	pageScript []byte
	//go:embed page/page.css
	pageStyle []byte
)

const (
	listenDefault = "127.0.0.1:8787"
	// mostViewers bounds the pages that read at one time, and with them the memory.
	mostViewers = 16
	// fetchBytes and fetchPartitionBytes bound the fetched data of each viewer.
	fetchBytes          = 8 << 20
	fetchPartitionBytes = 512 << 10
	// recordTimeout bounds the search for one record.
	recordTimeout = 20 * time.Second
	// writeTimeout is how long an answer may take, from its request on. A stream of events has a limit for each write.
	writeTimeout = time.Minute
	// serveReserve is how long answers that are under way may take when the program ends.
	serveReserve = 2 * time.Second
)

const aboutServe = `Serve shows the log records of the Kafka streams that match a PATTERN as a page in the browser:
live rows, filters and a search that also read existing records, all fields of a record, and its trace. The flags for
the start and the records are the page's first settings. A reader can change them, but can only see the streams that
match a PATTERN.

There is no login: everyone who can reach the address reads these streams. The host of a request must be an IP
address, localhost, or this machine's name. Each page reads Kafka itself, in bounded memory, at most 16 at one time; a
page that is too slow shows how many rows it missed.
`

// serveGroups returns the flags of serve.
func (o *options) serveGroups() []group {
	page := newFlags()
	page.StringVar(&o.listenAddr, "listen", listenDefault,
		"`ADDRESS` to serve the page on, HOST:PORT; without a host it is on loopback; port 0 means any free port")
	start, other := newFlags(), newFlags()
	o.startFlags().VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "lines":
			f.DefValue = strconv.Itoa(rowsDefault) // viewer uses it if the flag is not given
			start.AddFlag(f)
		case "since", "exclude":
			start.AddFlag(f)
		}
	})
	o.otherFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "quiet" || f.Name == "help" {
			other.AddFlag(f)
		}
	})
	return []group{{"The page", page}, {"Where to begin", start}, {"Which records", o.filterFlags()},
		{"Connection", o.connectionFlags()}, {"Other", other}}
}

// newServe returns the command that serves the page.
func newServe(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve [flags] PATTERN...", Long: aboutServe, Args: cobra.ArbitraryArgs, ValidArgsFunction: o.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd.Flags(), args); err != nil {
				return err
			}
			if o.onlyRecord != nil {
				return usageErrorf("%s is a single record: serve its stream, and open /?record=%s", args[0],
					args[0])
			}
			address, err := cliflags.ListenAddress(o.listenAddr)
			if err != nil {
				return usageErrorf("--listen: %q: give HOST:PORT, such as %s", o.listenAddr, listenDefault)
			}
			o.listenAddr = address
			return o.serve(cmd.Context(), firstSettings(cmd.Flags()))
		},
	}
	for _, g := range o.serveGroups() {
		cmd.Flags().AddFlagSet(g.flags)
	}
	return cmd
}

// serveHelp returns the help of serve.
func (o *options) serveHelp() string {
	var b strings.Builder
	b.WriteString(wrap(aboutServe) + "\nUsage:\n  logtail serve [flags] PATTERN...\n")
	for _, g := range o.serveGroups() {
		b.WriteString("\n" + g.name + ":\n" + usages(g.flags))
	}
	return b.String()
}

// firstSettings returns the given flags as the query of a page.
func firstSettings(fs *pflag.FlagSet) url.Values {
	query := make(url.Values)
	for _, name := range pageFlags() {
		f := fs.Lookup(name)
		switch {
		case f == nil || !f.Changed:
		case f.Value.Type() == "stringArray":
			query[name] = f.Value.(pflag.SliceValue).GetSlice()
		default:
			query.Set(name, f.Value.String())
		}
	}
	return query
}

// pageServer serves the page and its data.
type pageServer struct {
	o       *options
	client  *kafka.Client
	first   []byte        // the page's first settings, as JSON
	viewers chan struct{} // has a token for each reading page
}

// serve serves the page until ctx ends.
func (o *options) serve(ctx context.Context, first url.Values) error {
	patterns := make([]string, len(o.patterns))
	for i, p := range o.patterns {
		patterns[i] = p.text
	}
	settings, err := json.Marshal(map[string]any{"patterns": patterns, "query": first.Encode()})
	if err != nil {
		return failure(err)
	}
	listener, err := net.Listen("tcp", o.listenAddr)
	if err != nil {
		return failure(fmt.Errorf("--listen: %w", err))
	}
	defer listener.Close()
	o.kafkaSettings.FetchMaxBytes = min(o.kafkaSettings.FetchMaxBytes, fetchBytes)
	o.kafkaSettings.FetchMinBytes = min(o.kafkaSettings.FetchMinBytes, o.kafkaSettings.FetchMaxBytes)
	o.kafkaSettings.MaxPartitionFetchBytes = min(o.kafkaSettings.MaxPartitionFetchBytes, fetchPartitionBytes)
	client, err := o.connect(ctx)
	if err != nil || client == nil {
		return err
	}
	defer client.Close()
	s := &pageServer{o: o, client: client, first: settings, viewers: make(chan struct{}, mostViewers)}
	defer s.close()
	host, _, _ := net.SplitHostPort(o.listenAddr) // which Listen has taken
	server := newPageServer(ctx, webpage.Protect(s.handler(), webpage.Policy{Hosts: ownHosts(host)}), o.err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	o.notice("serving %s on %s", strings.Join(patterns, " "), webpage.URL(o.listenAddr, listener.Addr()))
	if at, err := netip.ParseAddrPort(listener.Addr().String()); err == nil && !at.Addr().IsLoopback() {
		o.notice("everyone who reaches this address can read these streams")
	}
	select {
	case err := <-ended:
		return failure(fmt.Errorf("serve the page: %w", err))
	case <-ctx.Done():
	}
	reserve, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveReserve)
	defer cancel()
	if server.Shutdown(reserve) != nil {
		_ = server.Close() // cuts off viewers that do not read
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return failure(fmt.Errorf("serve the page: %w", err))
	}
	return nil
}

// newPageServer makes the HTTP server, which waits for no client without a limit.
func newPageServer(ctx context.Context, handler http.Handler, errs io.Writer) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(logtext.Writer{W: errs}, "logtail: ", 0),
	}
}

// ownHosts are the names under which the page may be asked for: that of --listen, and the machine's where others can
// reach it.
func ownHosts(listenAddr string) []string {
	names := []string{listenAddr}
	at, err := netip.ParseAddr(listenAddr)
	if err == nil && at.IsLoopback() || listenAddr == "localhost" {
		return names
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	return names
}

func (s *pageServer) handler() http.Handler {
	mux := http.NewServeMux()
	webpage.Assets(mux)
	mux.Handle("GET /{$}", webpage.Asset("index.html", pageHTML))
	mux.Handle("GET /page.js", webpage.Asset("page.js", pageScript))
	mux.Handle("GET /page.css", webpage.Asset("page.css", pageStyle))
	mux.Handle("GET /api/settings", webpage.Asset("settings.json", s.first))
	mux.HandleFunc("GET /api/rows", s.rows)
	mux.HandleFunc("GET /api/record", s.record)
	return mux
}

// rows sends the records that the query of the request selects, as events: row, notice, missed, and at last end, or
// failed with the reason. An invalid query is an event too, because a browser shows a script no other response.
func (s *pageServer) rows(w http.ResponseWriter, r *http.Request) {
	q := webpage.NewQueue(s.o.queueRows, mostWaitingBytes)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	done := make(chan struct{})
	v, err := s.o.viewer(r.URL.Query(), q)
	switch {
	case err != nil:
		q.Add("failed", []byte(err.Error()))
		close(done)
	case !s.enter():
		q.Add("failed", fmt.Appendf(nil, "the limit of %d open pages is reached: close one", mostViewers))
		close(done)
	default:
		go func() {
			defer close(done)
			v.view(ctx, s.client, q)
			s.leave()
		}()
	}
	_ = q.Serve(ctx, w, done) // its error means that the viewer has disconnected
	cancel()
	<-done
}

// enter acquires a viewer's token.
func (s *pageServer) enter() bool {
	select {
	case s.viewers <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *pageServer) leave() { <-s.viewers }

// close waits for the viewers, and refuses further ones.
func (s *pageServer) close() {
	for range mostViewers {
		s.viewers <- struct{}{}
	}
}

// record serves one record in the format of [form.Whole].
func (s *pageServer) record(w http.ResponseWriter, r *http.Request) {
	position := r.URL.Query().Get("place")
	p, ok := parsePosition(s.o.prefix, position)
	switch {
	case !ok:
		http.Error(w, fmt.Sprintf("%q is not a record: want STREAM/PARTITION@OFFSET", position),
			http.StatusBadRequest)
		return
	case !s.o.match(p.tp.Topic):
		http.Error(w, "this page does not show the record's stream", http.StatusNotFound)
		return
	case !s.enter():
		http.Error(w, fmt.Sprintf("the limit of %d open pages is reached: close one", mostViewers),
			http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	notices := webpage.NewQueue(1, 1)
	v, err := s.o.viewer(url.Values{"stream": {position}}, notices)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out bytes.Buffer
	v.out, v.printer = &out, form.Whole
	ctx, cancel := context.WithTimeout(r.Context(), recordTimeout)
	defer cancel()
	if err := v.read(ctx, s.client); err != nil {
		if errors.Is(err, errInterrupted) {
			err = fmt.Errorf("the record was not found within %v: Kafka may be unreachable", recordTimeout)
		}
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out.Bytes())
}
