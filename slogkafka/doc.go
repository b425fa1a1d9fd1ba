// Package slogkafka has two handlers for log/slog. [NewHandler] ships log records to Kafka over the bus.
// [NewStreamHandler] writes the same records to a stream, such as standard output.
//
//	app := bus.New(bus.Config{Servers: []string{"localhost:9092"}})
//	handler := slogkafka.NewHandler(app, "logs")
//	defer handler.FlushOnPanic(5 * time.Second)
//	slog.SetDefault(slog.New(handler))
//	slog.Info("signed in", logrecord.Attr(UserLog{User: "ada"}), slog.Int("try", 2))
//	if err := serve(); err != nil {
//		slog.Error("the service failed", slog.Any("err", err))
//		handler.Exit(1, 5*time.Second) // os.Exit and log.Fatal lose the queued records
//	}
//
// Package logrecord describes the records and log models.
//
// # The end of the process
//
// The queue is in memory: os.Exit, log.Fatal and SIGKILL lose it. [QueueSize] bounds that loss, and records on the
// disk of [Spool] are kept. [Handler.Exit] is os.Exit after a Close, [Handler.FlushOnPanic] delivers the queued
// records when a panic ends the process, and [FlushOn] makes a log call wait for the acknowledgement of its record.
// App.Close closes the handlers of the app, after the functions of OnFinalize; [Handler.Close] closes one handler.
// Both deliver until the deadline of their context, and return the number of undelivered records. A service that a
// signal ends needs another context for Close, because the signal's context has ended by then:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	<-ctx.Done()
//	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	err := app.Close(last)
//
// # The path of a record
//
// Handle encodes the record on the caller's goroutine, so that its values are not read later, and stores the bytes in
// a queue that is bounded in records and in bytes ([QueueSize]). A worker passes them to the app's producer, which
// sends several batches concurrently. Handle never waits for Kafka; [Overflow] and [OverflowFrom] set what it does
// when the queue is full. The worker waits for a broker that is unreachable, and with [Spool] records move to the
// disk meanwhile.
//
// [Stats] counts every record exactly once: at every moment, each accepted record is either delivered, dropped,
// spooled or queued. Dropped records go to the handler of [Fallback], if there is one. The handler logs there, or to
// standard error, when records cannot be delivered, when the delivery works again, and when records are dropped: at
// once and then every 30 seconds. When records are delivered again, a record in the stream itself has the number of
// missing ones, by reason.
//
// The worker initializes the app if necessary, concurrently with its own work: records are delivered while the
// functions of OnInitialize run, including the records that these log, and also when they fail.
//
// Log streams are compressed with snappy unless the setting compression_type is set ("none" is possible). A reader in
// Python needs aiokafka[snappy] for it.
//
// # The bus's own log records
//
// Records that the bus logs itself (Config.Logger) are not shipped over the bus: this handler drops and counts them.
// It may therefore be slog's default handler, by slog.SetDefault.
//
//	app := bus.New(bus.Config{Servers: []string{"localhost:9092"}})
//	handler := slogkafka.NewHandler(app, "logs")
//	defer handler.FlushOnPanic(5 * time.Second)
//	slog.SetDefault(slog.New(handler))
//	slog.Info("signed in", logrecord.Attr(UserLog{User: "ada"}), slog.Int("try", 2))
//	if err := serve(); err != nil {
//		slog.Error("the service failed", slog.Any("err", err))
//		handler.Exit(1, 5*time.Second) // os.Exit and log.Fatal lose what is queued
//	}
//
// Package logrecord describes log records and log models.
//
// # What happens to a record
//
// Handle encodes the record in the goroutine that logs, so that nothing of it is read later. It puts the bytes into a
// queue that is bounded in records and in bytes ([QueueSize]). A worker hands them to the app's producer, in several
// batches at a time. Handle never waits for Kafka. When the queue is full, [Overflow] and [OverflowFrom] say what it
// does. A broker that is away is waited for. With [Spool], what the queue has no room for meanwhile is kept on disk.
//
// [Handler.Stats] counts each record exactly once: accepted records are delivered, dropped, spooled or queued. What
// is dropped goes to the handler of [Fallback], if there is one. The handler reports there, or on standard error,
// when records cannot be delivered, when they can be again, and when records are dropped: at once and then every 30
// seconds. When records flow again, a record in the stream itself says how many are missing, and why.
//
// The worker initializes the app if it is not. It delivers records while the functions of OnInitialize run, with what
// these log, and also when they fail.
//
// Log streams are compressed with snappy unless the setting compression_type is set, "none" included. A reader in
// Python needs aiokafka[snappy] for that.
//
// # The end of the process
//
// The queue is memory. os.Exit, log.Fatal and SIGKILL lose it, at most what QueueSize allows; what Spool has on disk
// is not lost. [Handler.Exit] is os.Exit with a Close before it. [Handler.FlushOnPanic] delivers what is queued when
// a panic ends the process. [FlushOn] makes a call wait for the acknowledgement of its record.
//
// App.Close closes the handlers of the app, after the functions of OnFinalize; [Handler.Close] closes one. Both
// deliver until the deadline of their context, and say how many records were left. A service that ends by signals
// closes with a context of its own, because the context of the signal has ended by then:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	<-ctx.Done()
//	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	err := app.Close(last)
//
// # The bus's own logs
//
// What the bus logs itself (Config.Logger) is never shipped: the handler drops such records, and counts them. So the
// handler may be slog's default, by slog.SetDefault.
package slogkafka
