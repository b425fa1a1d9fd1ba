// Package bus is a publish/subscribe bus on Kafka with a contract that services in any language can share. The value
// of every record is an envelope,
//
//	{"schema":"Content:1","data":{...}}
//
// and its data is checked against the JSON Schema of that name before it is sent.
//
// # Publishing
//
// An [App] is one application's connection to the bus. It declares its schemas, which are made from Go types:
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
// A nil error means that all in-sync replicas have the record. The producer is idempotent: a lost answer or a killed
// broker does not write a record twice, and records with the same key keep their order. A broker that is away is
// waited for until the context ends. [App.PublishAsync] returns a [Receipt] at once.
//
// # Streams and topics
//
// A stream is the name that an application uses. Its topic is [Config.TopicPrefix], then the stream. A topic that
// does not exist is created before the first publish, with 7 partitions, a replication factor of at most 3, and the
// schema's retention. A stream carries one schema id; versions of that id may follow each other.
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
// It is one member of its group. The members of a group, in this process and in others, share the records of its
// streams. Every group gets all of them. The type of the handler's argument says what the handler gets: a struct the
// data, a *[Message] the data with its record, []byte the value, *[Record] the record, map[string]any the whole
// message. [Subscribe] has the details. [App.Run] returns when its context ends; package worker makes a program of
// it.
//
// # Outcomes
//
// Every acknowledged record reaches a handler of each group at least once. The handler's error is the record's
// outcome:
//
//   - nil: the record is finished.
//   - Any other error, or a panic: the record is tried again by the [RetryPolicy]. Then it becomes a dead letter;
//     without [DeadLetter], Run ends.
//   - [Reject]: the record is not tried again. It becomes a dead letter; without DeadLetter it is counted and logged.
//     Data that cannot be decoded has this outcome, too.
//   - [RetryAfter]: the record is handled again after a time.
//   - [Abort]: Run ends, and the record is not committed.
//   - [ErrStop]: the subscription ends without an error, and the record is not committed.
//
// [RetryTopics] moves failed records to streams of their own, so that no other record waits for them.
// [Message.Forward] publishes a record to any stream.
//
// The committed offset of a partition never passes a record that is not finished. It is committed every second, when
// the partition is taken away, and at the end. After a crash the records in work, and those finished within the last
// second, are handled again. With [ManualCommit] the handler commits.
//
// # Order
//
// Within a lane handlers run one after another, in the order of the records. Lanes run at the same time. By default a
// partition is a lane. With [Concurrency], lanes are partitions of which at most n run at once ([ByPartition]), or
// keys ([ByKey]), or there is no order ([Unordered]). A record that waits to be handled again holds back the later
// records of its partition or of its key, and no others.
//
// # Batches
//
// With [Batch] a handler takes a slice, and is called with many records of a lane at once. [FailedAt] says which of
// them failed. After any other error no record of the batch is given up: the handler gets the records again in smaller
// batches, until the one that fails is found.
//
// # Rebalances and the end
//
// When partitions are taken away, and when Run ends, no further handler begins. Running handlers may finish, for
// [Config.DrainTimeout]. What they finished is committed. Then the member joins again, or leaves its group.
// Heartbeats go on meanwhile. When the time is over, the handlers' contexts end, and the next owner of the partition
// handles their records again.
//
// # Reading without a group
//
// [App.Tail] reads every stream that matches a pattern, from the start, the end, a time or the last n records on. It
// follows, and reads streams that appear later:
//
//	for record, err := range app.Tail(ctx, "content.*", bus.LastRecords(10)) {
//		...
//	}
//
// # Limits
//
// Brokers are trusted: a hostile broker can exhaust the memory of the process inside the client library. Use TLS
// (security_protocol).
package bus
