// Package slogkafka has two handlers for log/slog: one that ships log records to Kafka, over the bus, and one that
// writes the same records to a stream.
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
// # The end of the process
//
// The queue is memory: os.Exit, log.Fatal and SIGKILL lose it, at most what [QueueSize] allows, and not what [Spool]
// has on disk. [Handler.Exit] is os.Exit with a Close before it, [Handler.FlushOnPanic] delivers what is queued when a
// panic ends the process, and [FlushOn] makes a call wait for the acknowledgement of its record. App.Close closes the
// handlers of the app, after the functions of OnFinalize; [Handler.Close] does it for one. Both deliver until the
// deadline of their context, and say how many records were left. A service that ends by signals closes with a context
// of its own, as that of the signal is over by then:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	<-ctx.Done()
//	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	err := app.Close(last)
//
// What a record looks like, and what log models are, package logrecord says.
//
// # What happens to a record
//
// Handle encodes the record on the goroutine that logs, so that nothing of it is read later, and puts the bytes into a
// queue that is bounded in records and in bytes ([QueueSize]). A worker hands them to the producer of the app, several
// batches of which are on their way at one time. Handle never waits for Kafka; what it does when the queue is full,
// [Overflow] and [OverflowFrom] say. A broker that is away is waited for, and with [Spool] what finds no room meanwhile
// lies on disk.
//
// Every record ends in exactly one count of [Stats]: at every moment, those accepted are those delivered, dropped,
// spooled and queued.
// What is dropped goes to the handler of [Fallback], if there is one. When records cannot be delivered, and when they
// can be again, and when records are dropped, the handler says so there, or on standard error, at once and then every
// 30 seconds. When records flow again, one in the stream itself says how many are missing there, and why.
//
// The worker initializes the app if need be, beside its own work: records are delivered while the functions of
// OnInitialize run, what these log too, and also when they fail.
//
// Log streams are compressed with snappy unless the setting compression_type says otherwise ("none" too); a reader in
// Python needs aiokafka[snappy] for that.
//
// # Its own logs
//
// What the bus logs itself (Config.Logger) never comes back through it: this handler drops such records, and counts
// them. It may be slog's default handler, by slog.SetDefault.
package slogkafka
