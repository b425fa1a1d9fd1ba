package webpage_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

// With DNS rebinding a page of another site asks for our server by its own name: Host says so.
func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	strict := httptest.NewServer(webpage.Protect(hello, webpage.Policy{Hosts: []string{"logs.internal"}}))
	t.Cleanup(strict.Close)
	loopback := httptest.NewServer(webpage.Protect(hello, webpage.Policy{AnyBeyondLoopback: true}))
	t.Cleanup(loopback.Close)
	for _, tt := range []struct {
		name, host, site, mode string
		want                   int
	}{
		{name: "an address", host: "127.0.0.1:8787", want: 200},
		{name: "an address of IPv6", host: "[::1]:8787", want: 200},
		{name: "an address without a port", host: "[::1]", want: 200},
		{name: "localhost", host: "localhost:8787", want: 200},
		{name: "localhost in another case", host: "LocalHost.", want: 200},
		{name: "a name that is allowed", host: "logs.internal", want: 200},
		{name: "a foreign name", host: "evil.example:8787", want: 403},
		{name: "a name that begins like ours", host: "localhost.evil.example", want: 403},
		{name: "a name that looks like an address", host: "127.0.0.1.evil.example", want: 403},
		{name: "another site's script", host: "localhost", site: "cross-site", mode: "cors", want: 403},
		{name: "a script of another port", host: "localhost", site: "same-site", mode: "cors", want: 403},
		{name: "a link of another site", host: "localhost", site: "cross-site", mode: "navigate", want: 200},
		{name: "our own script", host: "localhost", site: "same-origin", mode: "cors", want: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := get(t, strict.URL, tt.host, tt.site, tt.mode); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if tt.host == "logs.internal" {
				return
			}
			if got := get(t, loopback.URL, tt.host, tt.site, tt.mode); got != tt.want {
				t.Errorf("with any name beyond loopback: status %d, want %d", got, tt.want)
			}
		})
	}
}

func get(t *testing.T, url, host, site, mode string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if site != "" {
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Sec-Fetch-Mode", mode)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Security-Policy") == "" {
		t.Error("an answer has no content policy")
	}
	return answer.StatusCode
}
