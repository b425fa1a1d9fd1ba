package bus

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// IDHeader is the header with the id of a record, for consumers that deduplicate: a UUIDv7, made once for each
// publish. If a record is ever written twice, both copies have the same id. An idempotent producer writes a record
// twice only when the broker has forgotten the producer. A log record keeps its id over all tries to deliver it.
//
// [Message.Forward], retry streams and dead letters keep the id. So a handler that deduplicates remembers an id only
// after it has handled the record: if it remembers it before, it takes its own retry for a duplicate. Where records
// are forwarded to another stream, or dead letters are read, the stream and the id together identify what was
// handled.
//
// A publish that brings the header itself, by [AddHeader] or in [Outgoing.Headers], keeps that value. So an
// application that publishes again after [ErrUnacknowledged] can give both records one id.
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
