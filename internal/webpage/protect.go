// Package webpage is what the HTML pages of the project's programs share: the check of the Host header, the headers
// that bound what a page may do, server-sent events with bounded memory, and the script that shows texts inertly.
package webpage

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// contentPolicy lets a page load scripts, styles and data from its own server only. Nothing inline runs, no page may
// frame it, and with Trusted Types no text can become markup, whatever a script does with it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Policy says which requests a page answers.
type Policy struct {
	// Hosts are names under which the page may be asked for, beside localhost and every IP address. Another name is
	// refused: with DNS rebinding, a foreign page has its own name point to this server, and reads what it shows.
	Hosts []string
	// AnyBeyondLoopback takes every name in requests that do not come over a loopback address, such as those to a
	// server of metrics behind the name of a Kubernetes service.
	AnyBeyondLoopback bool
}

// Protect returns a handler that answers with next what the policy allows, and refuses what pages of other sites ask
// for. All answers, refusals too, have headers under which a browser keeps and runs nothing else.
func Protect(next http.Handler, p Policy) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !p.allows(r):
			http.Error(w, "This server does not answer for the host of this request; ask for it by its IP address or as "+
				"localhost.", http.StatusForbidden)
		case fromOtherSite(r):
			http.Error(w, "This server does not answer the pages of other sites.", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (p *Policy) allows(r *http.Request) bool {
	if p.AnyBeyondLoopback && !overLoopback(r) {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || slices.ContainsFunc(p.Hosts,
		func(name string) bool { return strings.EqualFold(name, host) }) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// overLoopback reports whether the connection of the request ends at a loopback address, or at none that is known.
func overLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	return err != nil || at.Addr().Unmap().IsLoopback()
}

// fromOtherSite reports whether a browser says that the page of another site asks for data. Following a link is
// allowed.
func fromOtherSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}
