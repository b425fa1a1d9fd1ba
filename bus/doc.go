// Package bus is a publish/subscribe bus on Kafka with a contract that services in any language can share: every
// record's value is
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
//	err := app.Publish(ctx, "content.edited", Content{Title: "Notes"}, bus.Key("42"))
//
// A nil error means that all in-sync replicas have the record. The producer is idempotent: a reply that was lost, or a
// broker that was killed, does not write a record twice, and records of one key keep their order. A broker that is away
// is waited for until the context ends. [App.PublishAsync] returns at once, with a [Receipt].
//
// # Streams and topics
//
// A stream is the name an application uses; its topic is [Config.TopicPrefix] and the stream. A topic that does not
// exist is created before the first publish: 7 partitions, a replication factor of at most 3, and the retention of the
// schema. A stream carries one schema id; versions of that id may follow each other.
//
// # Subscribing
//
// A subscription is a pattern, a consumer group and a handler:
//
//	bus.MustSubscribe(app, "content.*", func(ctx context.Context, c Content) error {
//		...
//	}, bus.Group("indexer"))
//
//	err := app.Run(ctx)
//
// It runs as one member of its group. The members of a group, in this process and in others, share the records of its
// streams; every group gets all of them. The type of the handler's argument says what it gets: a struct the data, a
// *[Message] the data with its record, []byte the value, *[Record] the record, map[string]any the whole message.
// [Subscribe] has the details. [App.Run] ends with its context; package worker makes a program of it.
//
// # What is finished
//
// Every acknowledged record reaches a handler of each group at least once. The handler's error is the record's outcome:
//
//   - nil: it is done.
//   - Any other error, or a panic: it is tried again, as the [RetryPolicy] says. Then it is a dead letter, or, without
//     [DeadLetter], Run ends.
//   - [Reject]: it is given up at once. It is a dead letter, or, without DeadLetter, counted and logged. So is what
//     cannot be decoded.
//   - [RetryAfter]: it is tried again after a time.
//   - [Abort]: Run ends, and the record is not committed.
//   - [ErrStop]: the subscription ends without an error, and the record is not committed.
//
// [RetryTopics] sends records that have failed through streams of their own, so that none waits for them.
// [Message.Forward] sends a record to any stream.
//
// Only what lies below the first unfinished record of a partition is ever committed: every second, when the partition
// is taken away, and at the end. So a crash brings back the records that were in work, and what was finished within the
// last second. [ManualCommit] leaves the word to the handler.
//
// # Order
//
// Within a lane handlers run one after another, in the order of the records; lanes run beside each other. By default
// a partition is a lane. With [Concurrency], lanes are partitions of which only so many run at once ([ByPartition]),
// or keys ([ByKey]), or there is no order at all ([Unordered]). A record that waits to be tried again holds back what
// is behind it in its partition or of its key, and nothing else.
//
// # Batches
//
// With [Batch] a handler takes a slice, and is called for many records of a lane at once. [FailedAt] says which of them
// failed; an error of the whole batch gives none of them up.
//
// # Rebalances and the end
//
// When partitions are taken away, and when Run ends, nothing further begins; handlers that run may finish, for
// [Config.DrainTimeout]; what they did is committed; then the member joins again, or leaves. Heartbeats go on
// meanwhile. When the time is over the handlers' contexts end, and their records are handled again, by whoever has the
// partition then.
//
// # Reading without a group
//
// [App.Tail] reads every stream that matches a pattern, from the start, the end, a time or the last n records on, and
// follows streams that appear later:
//
//	for record, err := range app.Tail(ctx, "content.*", bus.LastRecords(10)) {
//		...
//	}
//
// # Limits
//
// Brokers are trusted: a hostile one can exhaust the memory of the process inside the client library. Use TLS
// (security_protocol).
package bus
