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
