package webpage

import (
	"bytes"
	_ "embed"
	"net"
	"net/http"
	"time"
)

//go:embed page.js
var script []byte

//go:embed page.css
var style []byte

// Assets registers /webpage.js, the module that the pages' scripts share, /webpage.css, the light and dark styles,
// and /favicon.ico, which does not exist.
func Assets(mux *http.ServeMux) {
	mux.Handle("GET /webpage.js", Asset("webpage.js", script))
	mux.Handle("GET /webpage.css", Asset("webpage.css", style))
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
}

// Asset serves content; the extension of the name determines its type.
func Asset(name string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

// URL returns where a server is that was asked to listen at an address, HOST:PORT, and does at another: with the host
// that was asked for, as 0.0.0.0 becomes [::], and the port that it got.
func URL(listenAddr string, at net.Addr) string {
	host, _, err := net.SplitHostPort(listenAddr)
	_, port, atErr := net.SplitHostPort(at.String())
	if err != nil || atErr != nil || host == "" {
		return "http://" + at.String() + "/"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
