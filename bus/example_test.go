package bus_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

// Edited is what the examples publish.
type Edited struct {
	Title string `json:"title" jsonschema:"minLength=1"`
}

// PrintJob is work that may take long, and may fail.
type PrintJob struct {
	Name string `json:"name" jsonschema:"minLength=1"`
	Torn bool   `json:"torn,omitempty"`
	Long bool   `json:"long,omitempty"`
}

// Print does the job, unless ctx ends before.
func (j PrintJob) Print(ctx context.Context) error {
	if j.Long {
		<-ctx.Done()
		return ctx.Err()
	}
	fmt.Println("printed", j.Name)
	return nil
}

// errTorn is a problem that no retry mends.
var errTorn = errors.New("the page is torn")

// broker starts the development broker that the examples talk to.
func broker() (servers []string, stop func()) {
	b, err := devkafka.Start(devkafka.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return b.Addrs(), func() { _ = b.Close() }
}

func ExampleApp_Publish() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content", bus.Streams("content.edited"), bus.Retention(7*24*time.Hour))

	if err := app.Publish(ctx, "content.edited", Edited{Title: "Notes"}, bus.Key("42")); err != nil {
		log.Fatal(err)
	}

	err := app.Publish(ctx, "content.edited", Edited{})
	if invalid, ok := errors.AsType[*bus.ValidationError](err); ok {
		fmt.Println(invalid.Schema, invalid.Field, invalid.Rule)
	}

	for record, err := range app.Tail(ctx, "content.*", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %s\n", record.Stream, record.Key, record.Value)
	}
	// Output:
	// Content:1 title minLength
	// content.edited 42 {"schema":"Content:1","data":{"title":"Notes"}}
}

// A key may be text or bytes: a string, a named string, a []byte.
func ExampleKey() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()
	type customer string

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content")
	var ada customer = "ada"
	for _, title := range []string{"Notes", "Notes on the engine"} {
		if err := app.Publish(ctx, "content.edited", Edited{Title: title}, bus.Key(ada)); err != nil {
			log.Fatal(err)
		}
	}
	for record, err := range app.Tail(ctx, "content.edited", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d@%d\n", record.Key, record.Partition, record.Offset)
	}
	// Output:
	// ada: 0@0
	// ada: 0@1
}

// Doc is JSON of any kind: its schema says what has to be in it.
type Doc map[string]any

// Data that is JSON and no Go struct has a schema too, which is supplied.
func ExampleSchemaJSON() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()
	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()

	bus.MustSchema[Doc](app, "", bus.SchemaJSON([]byte(`{
		"type": "object",
		"properties": {"title": {"type": "string", "minLength": 1}},
		"required": ["title"]
	}`)))
	fmt.Println(app.Publish(ctx, "docs", Doc{"title": "Notes", "pages": 3}))
	fmt.Println(app.Publish(ctx, "docs", Doc{"pages": 3}))

	bus.MustSubscribe(app, "docs", func(_ context.Context, d Doc) error {
		fmt.Println(d["title"], d["pages"])
		return nil
	}, bus.Group("printer"))
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil>
	// bus: publish "docs": data breaks schema Doc:1: field "title": required: is missing
	// Notes 3
}

// An App connects by TLS with an authority of one's own and a client certificate that may be renewed while it runs, and
// logs in by tokens.
func ExampleConfig_tls() {
	authority, err := os.ReadFile("/etc/kafka/ca.pem")
	if err != nil {
		fmt.Println("no authority:", errors.Is(err, fs.ErrNotExist))
		return
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)

	app := bus.New(bus.Config{
		Servers: []string{"kafka.example:9093"},
		TLS: &tls.Config{
			RootCAs: roots,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair("/run/tls/tls.crt", "/run/tls/tls.key") // for each connection
				return &pair, err
			},
		},
		SASL: bus.SASLOAuthBearer(func(ctx context.Context) (bus.Token, error) {
			token, err := os.ReadFile("/var/run/secrets/kafka/token") // what has been renewed since counts
			return bus.Token{Value: string(bytes.TrimSpace(token))}, err
		}),
	})
	defer func() { _ = app.Close(context.Background()) }()
	// Output: no authority: true
}

func ExampleApp_PublishAsync() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content")

	receipt := app.PublishAsync(ctx, "content.edited", Edited{Title: "Notes"})
	// ... and later, where the outcome matters:
	if err := receipt.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Record().Stream, receipt.Record().Offset)
	// Output: content.edited 0
}

func ExampleApp_PublishBatch() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()

	batch := []bus.Outgoing{
		{Value: []byte("ready")},
		{Value: make([]byte, 2<<20)}, // more than max_request_size
	}
	err := app.PublishBatch(ctx, "raw", batch)
	fmt.Println(errors.Is(err, bus.ErrTooLarge), batch[0].Err, errors.Is(batch[1].Err, bus.ErrTooLarge))
	// Output: true <nil> true
}

// printTitle takes what an Edited record says, and no more.
func printTitle(ctx context.Context, e Edited) error {
	fmt.Println("edited:", e.Title)
	return nil
}

func ExampleSubscribe() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content")
	bus.MustSubscribe(app, "content.*", printTitle, bus.Group("printer"))

	for _, title := range []string{"Notes", "Notes on the engine"} {
		if err := app.Publish(ctx, "content.edited.Page", Edited{Title: title}, bus.Key("42")); err != nil {
			log.Fatal(err)
		}
	}

	handled, err := app.ConsumeFor(ctx, 2)
	fmt.Println(handled, err)
	// Output:
	// edited: Notes
	// edited: Notes on the engine
	// 2 <nil>
}

func ExampleApp_Run() {
	servers, stop := broker()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	app := bus.New(bus.Config{Servers: servers})
	bus.MustSchema[Edited](app, "Content")
	bus.MustSubscribe(app, "content.*", func(_ context.Context, m *bus.Message[Edited]) error {
		fmt.Println(m.Schema, m.Record.Stream, m.Data.Title)
		cancel() // what a signal does in a program
		return nil
	}, bus.Group("printer"))
	if err := app.Publish(ctx, "content.edited.Page", Edited{Title: "Notes"}); err != nil {
		log.Fatal(err)
	}

	if err := app.Run(ctx); err != nil { // until ctx ends
		log.Fatal(err)
	}
	fmt.Println(app.Close(context.Background()))
	// Output:
	// Content:1 content.edited.Page Notes
	// <nil>
}

func ExampleRouter() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	// A package declares what it does, and knows no App.
	router := bus.NewRouter()
	bus.MustSchema[Edited](router, "Content")
	bus.MustSubscribe(router, "content.*", printTitle) // its group is called printTitle

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	if err := app.Mount(router); err != nil {
		log.Fatal(err)
	}
	if err := app.Publish(ctx, "content.edited.Page", Edited{Title: "Notes"}); err != nil {
		log.Fatal(err)
	}
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}
	// Output: edited: Notes
}

// work prints a job. One that takes too long goes on to those who have the time.
func work(ctx context.Context, m *bus.Message[PrintJob]) error {
	if m.Data.Torn {
		return bus.Reject(errTorn) // no retry mends it
	}
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	err := m.Data.Print(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil { // our limit, and not the end of the program
		return m.Forward(ctx, "jobs.slow") // the same value, key and headers
	}
	return err
}

func ExampleMessage_Forward() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[PrintJob](app, "PrintJob")
	bus.MustSubscribe(app, "jobs", work, bus.Group("printers"))
	for _, job := range []PrintJob{{Name: "label"}, {Name: "yearbook", Long: true}} {
		if err := app.Publish(ctx, "jobs", job, bus.Key(job.Name)); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := app.ConsumeFor(ctx, 2); err != nil {
		log.Fatal(err)
	}
	for record, err := range app.Tail(ctx, "jobs.slow", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", record.Stream, record.Value)
	}
	// Output:
	// printed label
	// jobs.slow {"schema":"PrintJob:1","data":{"name":"yearbook","long":true}}
}

func ExampleDeadLetter() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[PrintJob](app, "PrintJob")
	bus.MustSubscribe(app, "jobs", work,
		bus.Group("printers"),
		bus.Concurrency(8, bus.ByKey), // eight at once; the jobs of one key keep their order
		bus.Timeout(30*time.Second),   // for all attempts at a job
		bus.Retry(bus.RetryPolicy{Attempts: 3}),
		bus.DeadLetter())
	if err := app.Publish(ctx, "jobs", PrintJob{Name: "label", Torn: true}); err != nil {
		log.Fatal(err)
	}
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}

	for record, err := range app.Tail(ctx, "jobs.*.dead", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			log.Fatal(err)
		}
		why, _ := record.Header(bus.ErrorHeader)
		attempts, _ := record.Header(bus.AttemptsHeader)
		fmt.Printf("%s: %s (attempts: %s)\n%s\n", record.Stream, why, attempts, record.Value)
	}
	// Output:
	// jobs.printers.dead: rejected: the page is torn (attempts: 1)
	// {"schema":"PrintJob:1","data":{"name":"label","torn":true}}
}

func ExampleApp_ReplayDeadLetters() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()
	lastNight := time.Now().Add(-12 * time.Hour)

	app := bus.New(bus.Config{Servers: servers, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[PrintJob](app, "PrintJob")
	outOfPaper := true
	bus.MustSubscribe(app, "jobs", func(ctx context.Context, job PrintJob) error {
		if outOfPaper {
			return errors.New("the printer is out of paper")
		}
		return job.Print(ctx)
	}, bus.Group("printers"), bus.Retry(bus.RetryPolicy{Attempts: 1}), bus.DeadLetter())
	if err := app.Publish(ctx, "jobs", PrintJob{Name: "invoice"}); err != nil {
		log.Fatal(err)
	}
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}

	outOfPaper = false
	sinceLastNight := bus.DeadLetterSelection{
		Where: func(d *bus.DeadLetterRecord) bool { return d.FailedTime.After(lastNight) },
	}
	count, err := app.ReplayDeadLetters(ctx, "jobs", "printers", sinceLastNight)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d dead letters are handled again\n", count.Done, count.Open)
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 of 1 dead letters are handled again
	// printed invoice
}

func ExampleOutcomeOf() {
	ctx := context.Background()
	err := work(ctx, &bus.Message[PrintJob]{Data: PrintJob{Name: "label", Torn: true}})
	fmt.Println(bus.OutcomeOf(err)) // rejected
	// Output: rejected
}

// An index takes many titles in one call, and says which of them it does not take.
func ExampleBatch() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()
	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content", bus.Streams("content.edited"))

	index := func(ctx context.Context, batch []Edited) error {
		written, err := bulkWrite(ctx, batch)
		if err != nil {
			return bus.FailedAt(written, bus.Reject(err)) // those behind it are handed over again
		}
		return nil
	}

	bus.MustSubscribe(app, "content.*", index, bus.Group("indexer"),
		bus.Batch(500, time.Second), // up to 500 records, at the latest after a second
		bus.DeadLetter())

	for _, title := range []string{"Notes", "bad", "Letters"} {
		if err := app.Publish(ctx, "content.edited", Edited{Title: title}, bus.Key("one lane")); err != nil {
			log.Fatal(err)
		}
	}
	handled, err := app.ConsumeFor(ctx, 3)
	fmt.Println(handled, err)
	// Output:
	// indexed Notes
	// indexed Letters
	// 3 <nil>
}

// bulkWrite stands for a call of a search index. It returns how many titles it has written.
func bulkWrite(_ context.Context, batch []Edited) (written int, err error) {
	for i, e := range batch {
		if e.Title == "bad" {
			return i, errTorn
		}
		fmt.Println("indexed", e.Title)
	}
	return len(batch), nil
}

func ExampleRetryTopics() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[PrintJob](app, "PrintJob")
	bus.MustSubscribe(app, "jobs", func(ctx context.Context, m *bus.Message[PrintJob]) error {
		if m.Record.Stream == "jobs" {
			return errors.New("the printer is out of paper")
		}
		fmt.Println("from", m.Record.Stream)
		return m.Data.Print(ctx)
	}, bus.Group("printers"), bus.RetryTopics(10*time.Millisecond, time.Minute))
	if err := app.Publish(ctx, "jobs", PrintJob{Name: "invoice"}); err != nil {
		log.Fatal(err)
	}
	if _, err := app.ConsumeFor(ctx, 2); err != nil {
		log.Fatal(err)
	}
	// Output:
	// from jobs.printers.retry.1
	// printed invoice
}

func ExampleManualCommit() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content")
	bus.MustSubscribe(app, "content.*", func(ctx context.Context, m *bus.Message[Edited]) error {
		fmt.Println("stored:", m.Data.Title)
		return m.Commit(ctx) // everything up to this record that is finished
	}, bus.Group("store"), bus.ManualCommit())
	if err := app.Publish(ctx, "content.edited.Page", Edited{Title: "Notes"}); err != nil {
		log.Fatal(err)
	}
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		log.Fatal(err)
	}
	// Output: stored: Notes
}
