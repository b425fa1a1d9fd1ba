package logrecord_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// UserLog is a log model: its fields become fields of the record.
type UserLog struct {
	logrecord.Model
	User string `json:"user" jsonschema:"minLength=1"`
	Try  int    `json:"try,omitempty"`
}

// A record as it is shipped, without the base fields that are null or the host's own.
func ExampleEncoder() {
	e := logrecord.NewEncoder(logrecord.Options{SchemaID: "LogRecord:1"})
	e = e.WithAttrs([]slog.Attr{slog.String("shop", "north")})

	r := slog.NewRecord(time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC), slog.LevelError, "sign-in failed", 0)
	r.AddAttrs(logrecord.Attr(UserLog{User: "", Try: 3}), slog.Any("err", errors.New("no such user")),
		slog.Int("level", 9))
	value, result := e.Append(nil, context.Background(), r)

	record, err := logrecord.Decode(value)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record.Schema, record.Time.Format(time.RFC3339), record.Severity, record.Message)
	fmt.Println(record.Exception, "|", record.Stack)
	for _, f := range record.Fields {
		fmt.Printf("%s=%s\n", f.Name, f.Value)
	}
	fmt.Println(result.Invalid, record.SchemaErrors)
	// Output:
	// LogRecord:1 2026-01-31T15:04:05Z ERROR sign-in failed
	// *errors.errorString | no such user
	// shop="north"
	// try=3
	// err="no such user"
	// attr_level=9
	// invalid={"user":""}
	// true [user: minLength: must be at least 1 characters, is 0]
}

// Attr keeps go vet quiet, which takes a model that stands alone among the arguments for a value without a key. A
// handler that is not ours shows the model under its type's name.
func ExampleAttr() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout,
		&slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	logger.Info("signed in", logrecord.Attr(UserLog{User: "ada"}))
	// Output: {"level":"INFO","msg":"signed in","UserLog":{"user":"ada"}}
}

// A record that a service in Python wrote.
func ExampleDecode() {
	r, err := logrecord.Decode([]byte(`{"schema":"PydanticLogModel:1","data":{"timestamp":"2026-11-23T16:39:52.245858",` +
		`"severity":"NOTICE","level":25,"message":"signed in","user":"ada"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Time, r.Severity, int(r.Level), r.Message)
	for _, f := range r.Fields {
		fmt.Printf("%s=%s\n", f.Name, f.Value)
	}
	// Output:
	// 2026-11-23 16:39:52.245858 +0000 UTC NOTICE 2 signed in
	// user="ada"
}
