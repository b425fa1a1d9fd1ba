// Package bus is a publish/subscribe bus on Kafka with a contract that services in any language can share: every record's value is
//
//	{"schema":"Content:1","data":{...}}
//
// and data was checked against the JSON Schema of that name before it was sent.
//
// # Publishing
//
// An [App] is an application's place on the bus. It knows its schemas, which are Go types:
//
//	type Content struct {
//		Title string `json:"title" jsonschema:"minLength=1"`
//	}
//
//	app := bus.New(bus.Config{Servers: []string{"localhost:9092"}})
//	defer app.Close(ctx)
//	bus.MustSchema[Content](app, "Content", bus.Streams("content.edited"), bus.Retention(7*24*time.Hour))
//
//	err := app.Publish(ctx, "content.edited", Content{Title: "Notes"}, bus.Key([]byte("42")))
//
// A nil error means that all in-sync replicas have the record. The producer is idempotent: a reply that was lost, or a broker that was
// killed, does not write a record twice, and records of one key keep their order. A broker that is away is waited for until the context
// ends. [App.PublishAsync] returns at once, with a [Receipt].
//
// # Streams and topics
//
// A stream is the name an application uses; its topic is [Config.TopicPrefix] and the stream. A topic that does not exist is created
// before the first publish: 7 partitions, a replication factor of at most 3, and the retention of the schema. A stream carries one schema
// id; versions of that id may follow each other.
//
// # Reading without a group
//
// [App.Tail] reads every stream that matches a pattern, from the start, the end, a time or the last n records on, and follows streams
// that appear later:
//
//	for record, err := range app.Tail(ctx, "content.*", bus.LastRecords(10)) {
//		...
//	}
//
// # Limits
//
// Brokers are trusted: a hostile one can exhaust the memory of the process inside the client library. Use TLS (security_protocol).
package bus
