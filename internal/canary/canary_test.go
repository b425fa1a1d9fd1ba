package canary

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"hash"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
	"github.com/kafkaesk/kafkaesk/slogkafka/slogkafkatest"
)

const secret = "c4nary-s3cret"

const module = "github.com/kafkaesk/kafkaesk/"

// public are the packages that others may import.
var public = []string{"bus", "bus/worker", "bus/monitor", "bus/bustest", "slogkafka", "slogkafka/slogkafkatest",
	"logrecord"}

// login is a log model with secrets.
type login struct {
	logrecord.Model
	User     string `json:"user" jsonschema:"minLength=9"`
	Password string `json:"password" log:"redact" jsonschema:"maxLength=3"`
	Card     string `json:"card" log:"hash"`
	Token    string `json:"token" log:"-"`
}

// config returns a Config with a secret wherever there may be one.
func config(t *testing.T) bus.Config {
	t.Helper()
	settings,
		err := bus.ParseSettings(`{"security_protocol":"SASL_SSL","sasl_plain_username":"u","sasl_plain_password":"` +
		secret + `","ssl_password":"` + secret + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	return bus.Config{
		Servers: []string{"127.0.0.1:1"}, Settings: settings, SASL: bus.SASLPassword("PLAIN", "u", secret),
		Logger: slog.New(slog.DiscardHandler),
	}
}

// withKey returns the Config with a private key.
func withKey(c bus.Config) bus.Config {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, secret)
	certificate := tls.Certificate{PrivateKey: ed25519.NewKeyFromSeed(seed)}
	c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	c.TLS.SetSessionTicketKeys([][32]byte{[32]byte(seed)})
	return c
}

// failed returns an App that could not connect with its secrets, and why.
func failed(t *testing.T) (*bus.App, error) {
	t.Helper()
	app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, SASL: bus.SASLPassword("PLAIN", "u", secret),
		Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := app.Initialize(ctx)
	if err == nil {
		t.Fatal("connected to nothing")
	}
	t.Cleanup(func() {
		if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return app, err
}

// values returns values of each exported type, by "package.Type". What an application itself puts into a record, an
// error or a field of text is no secret to the library, and prints.
func values(t *testing.T) map[string][]any {
	t.Helper()
	c := config(t)
	app, err := failed(t)
	of := func(values ...any) []any { return values }
	all := map[string][]any{
		"bus.App":      of(bus.New(withKey(c)), app),
		"bus.Config":   of(c, &c),
		"bus.Settings": of(c.Settings, &c.Settings),
		"bus.SASL": of(c.SASL, *c.SASL, bus.SASLCredentials("PLAIN", credentials),
			bus.SASLOAuthBearer(bearer)),
		"bus.Consumed":         of(bus.Consumed{Err: err}),
		"bus.DeadLetterCount":  of(bus.DeadLetterCount{}),
		"bus.DeadLetterRecord": of(bus.DeadLetterRecord{Record: &bus.Record{}, Error: err.Error()}),
		"bus.DeadLetterSelection": of(bus.DeadLetterSelection{Where: func(*bus.DeadLetterRecord) bool {
			return secret == ""
		}}),
		"bus.DeadLetterState":     of(bus.DeadLetterState("")),
		"bus.DeadLetterStream":    of(bus.DeadLetterStream{}),
		"bus.Handler":             of(bus.Handler(func(context.Context, *bus.Record) error { return errors.New(secret) })),
		"bus.Header":              of(bus.Header{}),
		"bus.Lanes":               of(bus.ByKey),
		"bus.Message":             of(bus.Message[bus.Config]{Data: c}, &bus.Message[*bus.App]{Data: app}),
		"bus.Middleware":          of(bus.Middleware(func(h bus.Handler) bus.Handler { return h })),
		"bus.Outcome":             of(bus.OutcomeOf(err)),
		"bus.Outgoing":            of(bus.Outgoing{Err: err}),
		"bus.PanicError":          of(&bus.PanicError{Value: c}, bus.PanicError{Value: app}),
		"bus.PartitionError":      of(&bus.PartitionError{Err: err}),
		"bus.PartitionStats":      of(bus.PartitionStats{Blocked: err.Error()}),
		"bus.ProducerStats":       of(app.Stats().Producer),
		"bus.PublishOption":       of(bus.Key(secret), bus.AddHeader("authorization", secret)),
		"bus.Published":           of(bus.Published{Err: err}),
		"bus.Receipt":             of(app.PublishAsync(within(t), "s", map[string]string{"password": secret})),
		"bus.Record":              of(bus.Record{}, &bus.Record{}),
		"bus.Registrar":           of(bus.Registrar(bus.New(withKey(c))), bus.Registrar(bus.NewRouter())),
		"bus.RetryPolicy":         of(bus.RetryPolicy{}),
		"bus.Router":              of(router(c)),
		"bus.SchemaConflictError": of(&bus.SchemaConflictError{}),
		"bus.SchemaInfo":          of(app.Schemas()),
		"bus.SchemaOption":        of(bus.TopicConfig("password", secret)),
		"bus.Stats":               of(app.Stats()),
		"bus.StreamStats":         of(app.Stats().Streams),
		"bus.SubscribeOption":     of(bus.Group(secret)),
		"bus.SubscriptionStats":   of(app.Stats().Subscriptions, bus.SubscriptionStats{}),
		"bus.TailOption":          of(bus.Exclude(secret)),
		"bus.ValidationError":     of(&bus.ValidationError{}),
		"bus.ValueDecoder":        of(bus.ValueDecoder(&logrecord.Record{})),
		"bus.Violation":           of(bus.Violation{}),

		"monitor.Option": of(monitor.Hosts(secret)),

		"bustest.Option":  of(bustest.Config(withKey(c))),
		"bustest.Message": of(bustest.NewMessage(t, "s", c.Settings).Message, bustest.NewMessage(t, "s", c.Settings)),

		"slogkafka.Policy":     of(slogkafka.DropNewest, slogkafka.Spool(t.TempDir(), 1)),
		"slogkafka.DropPolicy": of(slogkafka.DropOldest),
		"slogkafka.Option":     of(slogkafka.Option(slogkafka.HashKey([]byte(secret)))),
		"slogkafka.RecordOption": of(slogkafka.HashKey([]byte(secret)),
			slogkafka.Shared(slogkafka.HashKey([]byte(secret)))),
		"slogkafka.StreamOption":     of(slogkafka.StreamOption(slogkafka.HashKey([]byte(secret)))),
		"slogkafka.KafkaOption":      of(slogkafka.QueueSize(1, 1)),
		"slogkafka.UndeliveredError": of(&slogkafka.UndeliveredError{Cause: err}),
	}
	maps.Copy(all, logging(t))
	return all
}

// logging returns values of the types that concern log records: those of a model with secrets that was logged.
func logging(t *testing.T) map[string][]any {
	t.Helper()
	ctx := context.Background()
	model := login{User: "ada", Password: secret, Card: secret, Token: secret}
	app := bus.New(bus.Config{})
	invalid := make(chan slogkafka.InvalidRecord, 1)
	h := slogkafka.NewHandler(app, "logs", slogkafka.WhenConfigured(), slogkafka.HashKey([]byte(secret)),
		slogkafka.OnInvalid(func(_ context.Context, r slogkafka.InvalidRecord) string {
			r.Value = bytes.Clone(r.Value) // it must not be kept
			invalid <- r
			return "logs"
		}))
	slog.New(h).Info("in", "login", model)
	if err := h.Close(within(t)); err != nil {
		t.Log(err)
	}
	recorder := slogkafkatest.NewRecorder(t, slogkafka.HashKey([]byte(secret)))
	slog.New(recorder).Info("in", "login", model)

	options := logrecord.Options{SchemaID: "LogRecord:1", Hash: func() hash.Hash {
		return hmac.New(sha256.New, []byte(secret))
	}}
	encoder := logrecord.NewEncoder(options)
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "in", 0)
	r.AddAttrs(slog.Any("login", model))
	text, result := encoder.Append(nil, ctx, r)
	record, err := logrecord.Decode(text)
	if err != nil || len(record.Fields) == 0 {
		t.Fatalf("%s: %v", text, err)
	}
	var form logrecord.Form
	plain := slog.NewRecord(time.Now(), slog.LevelInfo, "in", 0)
	err = encoder.EncodeParts(ctx, &plain, func(_ []byte, r *logrecord.Result) error {
		form = r.Form
		return nil
	})
	if err != nil || form.Whole() {
		t.Fatalf("the record has no form: %v", err)
	}
	return map[string][]any{
		"logrecord.Clock":         {logrecord.Clock{}},
		"logrecord.Form":          {form, &form},
		"slogkafka.Handler":       {h, h.WithAttrs([]slog.Attr{slog.Any("login", model)}), h.WithGroup("g")},
		"slogkafka.InvalidRecord": {<-invalid},
		"slogkafka.Stats":         {h.Stats()},
		"slogkafkatest.Recorder":  {recorder, recorder.Records()},
		"logrecord.Base":          {logrecord.Base{}},
		"logrecord.Encoder":       {encoder, encoder.WithAttrs([]slog.Attr{slog.Any("login", model)})},
		"logrecord.Field":         {record.Fields, record.Fields[0]},
		"logrecord.Model":         {logrecord.Model{}},
		"logrecord.Options":       {options, &options},
		"logrecord.Preset":        {logrecord.OTel},
		"logrecord.Record":        {record, &record},
		"logrecord.Result":        {result},
	}
}

func credentials(context.Context) (string, string, error) { return "u", secret, nil }

func bearer(context.Context) (bus.Token, error) { return bus.Token{Value: secret}, nil }

func router(c bus.Config) *bus.Router {
	r := bus.NewRouter()
	r.OnInitialize(func(context.Context) error { return fmt.Errorf("%s", c.Settings["sasl_plain_password"]) })
	return r
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A value of no exported type prints a secret that the library holds, in any way, from an exported field or not.
func TestNoExportedTypePrintsASecret(t *testing.T) {
	all := values(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for i, v := range all[name] {
			testkit.NeverPrints(t, fmt.Sprint(name, " ", i), v, secret)
		}
	}
}

// exposed are the types whose documentation says that they print in an unexported field, where fmt calls no method.
func exposed(t *testing.T) map[string][]any {
	t.Helper()
	c := withKey(config(t))
	secretToken := bus.Token{Value: secret, Extensions: map[string]string{"logicalCluster": secret}}
	return map[string][]any{
		"bus.Config":   {c, &c, bus.Message[bus.Config]{Data: c}, &bus.PanicError{Value: c}},
		"bus.Token":    {secretToken, &secretToken},
		"bus.Settings": {bus.Settings{"sasl_plain_password": secret, "ssl_password": secret}},
	}
}

// At the top, and in exported fields, these print nothing either.
func TestWhatIsExposedPrintsNoSecretByItself(t *testing.T) {
	for name, values := range exposed(t) {
		for i, v := range values {
			for how, text := range testkit.Printed(struct{ Exported any }{v}) {
				// %p is no verb of a struct, and fmt then prints its memory.
				if strings.Contains(how, "inside") || how == "%p" || strings.HasPrefix(how, "slog") {
					continue
				}
				for _, form := range testkit.FormsOf(secret) {
					if strings.Contains(text, form) {
						t.Errorf("%s %d: %s prints the secret: %s", name, i, how, text)
					}
				}
			}
		}
	}
}

// Every exported type is printed: one that is added is missing in the list.
func TestEveryExportedTypeIsPrinted(t *testing.T) {
	printed := values(t)
	maps.Copy(printed, exposed(t))
	for _, path := range public {
		p, err := imported(t, module+path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.Scope().Names() {
			if _, isType := p.Scope().Lookup(name).(*types.TypeName); isType && token.IsExported(name) {
				if name := p.Name() + "." + name; len(printed[name]) == 0 {
					t.Errorf("%s is not printed: add a value of it, with a secret wherever it can hold one", name)
				}
				delete(printed, p.Name()+"."+name)
			}
		}
	}
	for name := range printed {
		t.Errorf("%s is printed, and is no exported type", name)
	}
}

// imported returns a package as the compiler has exported it.
func imported(t *testing.T, path string) (*types.Package, error) {
	t.Helper()
	lookup := func(path string) (io.ReadCloser, error) {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-f", "{{.Export}}", path).Output()
		if err != nil {
			return nil, err
		}
		return os.Open(string(bytes.TrimSpace(out)))
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", lookup).Import(path)
}
