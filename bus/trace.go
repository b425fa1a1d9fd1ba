package bus

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// IDHeader is the header that names a record for consumers that deduplicate: a UUIDv7, made once per publish. A
// record written twice, which an idempotent producer does only when the broker has forgotten it, carries the same
// one. A log record keeps its id over all tries to deliver it.
//
// [Message.Forward], retry streams and dead letters keep the id: it is the same record at another place. A handler
// that deduplicates has therefore to remember an id only when it has handled the record. One that remembers it before
// drops its own retry as a duplicate. Where records are forwarded to another stream, or dead letters are read, stream
// and id together name what was handled.
//
// A publish that brings the header itself, by [AddHeader] or in [Outgoing.Headers], keeps that value: so an application
// that publishes again after [ErrUnacknowledged] can give both records one id.
const IDHeader = "kafkaesk-id"

// complete appends the headers the bus sets to those that are there, which it never overwrites.
func (w *workspace) complete(t []tracecontext.Header, now time.Time) {
	set := len(w.headers)
	for _, h := range t {
		if !has(w.headers[:set], h.Name) {
			w.headers = append(w.headers, wire.Header(h))
		}
	}
	if !has(w.headers[:set], IDHeader) {
		recordid.New(&w.id, now)
		w.headers = append(w.headers, wire.Header{Name: IDHeader, Value: w.id[:]})
	}
}

func has(headers []wire.Header, name string) bool {
	for i := range headers {
		if headers[i].Name == name {
			return true
		}
	}
	return false
}
