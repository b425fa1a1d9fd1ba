// Package webpage contains what the HTML pages of the project's programs share: the check of the Host header, the
// headers that restrict a page, server-sent events in bounded memory, and the script that shows texts without
// interpreting them.
package webpage

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// contentPolicy lets a page load scripts, styles and data from its own server only. Inline code does not run, no
// other page may frame it, and with Trusted Types a script cannot turn text into markup.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Policy selects the requests that a page answers.
type Policy struct {
	// Hosts are the allowed host names besides localhost and every IP address. Other names are refused: with DNS
	// rebinding, another site's page resolves its own name to this server and reads its content.
	Hosts []string
	// AnyBeyondLoopback allows every host name in requests that do not arrive at a loopback address, such as scrapes
	// through the name of a Kubernetes service.
	AnyBeyondLoopback bool
}

// Protect returns a handler that passes allowed requests to next and refuses requests from pages of other sites. The
// headers of all responses, including refusals, forbid caching and any content that the policy does not name.
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

// overLoopback reports whether the connection's local address is a loopback address or unknown.
func overLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	return err != nil || at.Addr().Unmap().IsLoopback()
}

// fromOtherSite reports whether the browser marks the request as sent by another site's page. Following a link is
// allowed.
func fromOtherSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}
