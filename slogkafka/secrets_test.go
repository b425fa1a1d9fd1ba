package slogkafka_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

type secretLogin struct {
	logrecord.Model
	User     string `json:"user" jsonschema:"minLength=9"`
	Password string `json:"password" log:"redact" jsonschema:"maxLength=3"`
	Card     string `json:"card" log:"hash" jsonschema:"maxLength=3"`
}

// Neither a password, nor the key of hashed fields, nor a redacted field comes out of what slogkafka and logrecord
// export, however it is printed, nor out of what they log.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const canary = "c4nary-s3cret"
	var own, local bytes.Buffer
	app := bus.New(bus.Config{
		Servers: []string{"127.0.0.1:1"}, SASL: bus.SASLPassword("PLAIN", "user", canary),
		Logger: slog.New(slog.NewTextHandler(&own, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	invalid := make(chan slogkafka.InvalidRecord, 1)
	h := slogkafka.NewHandler(app, "logs", slogkafka.HashKey([]byte(canary)),
		slogkafka.Fallback(slog.NewTextHandler(&local, nil)),
		slogkafka.OnInvalid(func(_ context.Context, r slogkafka.InvalidRecord) string {
			r.Value = bytes.Clone(r.Value) // it must not be kept
			invalid <- r
			return "logs"
		}))
	stream := slogkafka.NewStreamHandler(io.Discard, slogkafka.HashKey([]byte(canary)))
	options := logrecord.Options{Hash: func() hash.Hash { return hmac.New(sha256.New, []byte(canary)) }}
	slog.New(h).Info("in", "login", secretLogin{User: "ada", Password: canary, Card: canary})
	flush := h.Flush(within(t, 200*time.Millisecond))
	if flush == nil {
		t.Fatal("flushed to nothing")
	}
	for name, v := range map[string]any{
		"Stats": h.Stats(), "Err": h.Err(), "Flush": flush,
		"InvalidRecord": <-invalid, "StreamHandler": stream, "Option": slogkafka.HashKey([]byte(canary)),
		"Encoder": logrecord.NewEncoder(options), "Options": options,
	} {
		testkit.NeverPrints(t, name, v, canary)
	}
	closed := h.Close(within(t, 200*time.Millisecond))
	testkit.NeverPrints(t, "Close", closed, canary)
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		testkit.NeverPrints(t, "App.Close", err, canary)
	}
	testkit.NeverPrints(t, "Handler", h, canary) // printing reads all of it, which its worker must not write any more
	testkit.NeverPrints(t, "Handler.WithAttrs", h.WithAttrs([]slog.Attr{slog.Int("a", 1)}), canary)
	for name, text := range map[string]string{"the bus's log": own.String(), "the fallback": local.String()} {
		if strings.Contains(text, canary) {
			t.Errorf("%s has the secret: %s", name, text)
		}
	}
	if !strings.Contains(local.String(), "ada") {
		t.Errorf("the fallback did not get the record: %s", &local)
	}
}
