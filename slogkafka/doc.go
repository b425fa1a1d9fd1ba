// Package slogkafka has two handlers for log/slog: one that ships log records to Kafka, over the bus, and one that writes
// the same records to a stream.
//
//	app := bus.New(bus.Config{Servers: []string{"localhost:9092"}})
//	defer app.Close(ctx)
//	logger := slog.New(slogkafka.NewHandler(app, "logs"))
//	logger.Info("signed in", logrecord.Attr(UserLog{User: "ada"}), "try", 2)
//
// What a record looks like, and what log models are, package logrecord says.
//
// # What happens to a record
//
// Handle encodes the record on the goroutine that logs, so that nothing of it is read later, and puts the bytes into a queue
// that is bounded in records and in bytes ([QueueSize]). One worker takes them out in batches and publishes them. Handle
// never waits for Kafka; what it does when the queue is full, [Overflow] says. A broker that is away is waited for.
//
// Every record ends in exactly one count of [Stats]: at every moment, those accepted are those delivered, dropped and queued.
// What is dropped goes to the handler of [Fallback], if there is one. When records cannot be delivered, and when they can
// be again, the handler says so there, or on standard error, once and then every 30 seconds.
//
// # The end of the process
//
// The queue is memory: os.Exit, log.Fatal and SIGKILL lose it, at most what QueueSize allows. App.Close closes the handlers
// of the app, which deliver what they have until the deadline of its context; [Handler.Close] does it for one. Both say how
// many records were left.
//
// # Its own logs
//
// What the bus logs itself (Config.Logger) never comes back through it: this handler drops such records, and counts them.
// It may be slog's default handler, by slog.SetDefault.
package slogkafka
