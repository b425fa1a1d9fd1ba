package slogkafkatest_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
	"github.com/kafkaesk/kafkaesk/slogkafka/slogkafkatest"
)

// UserLog is a log model.
type UserLog struct {
	logrecord.Model
	User string `json:"user"`
}

func TestTheRecordsThatWereLogged(t *testing.T) {
	t.Parallel()
	recorder := slogkafkatest.NewRecorder(t, slogkafka.Level(slog.LevelDebug), slogkafka.Service("shop"))
	log := slog.New(recorder).With("tenant", "a")
	log.Debug("signed in", logrecord.Attr(UserLog{User: "ada"}))
	log.Error("failed", "err", fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}))
	records := recorder.Records()
	if len(records) != 2 {
		t.Fatalf("got %d records, want 2", len(records))
	}
	first := records[0]
	if first.Message != "signed in" || first.Level != slog.LevelDebug || first.Service != "shop" {
		t.Errorf("the first record is %+v", first)
	}
	if got := fmt.Sprintf("%s", first.Fields); !strings.Contains(got, `{user "ada"}`) || !strings.Contains(got, "tenant") {
		t.Errorf("its fields are %s", got)
	}
	if records[1].Level != slog.LevelError || records[1].Exception != "*fs.PathError" {
		t.Errorf("the second record is %+v", records[1])
	}
}

func TestRecordsOfManyGoroutines(t *testing.T) {
	t.Parallel()
	recorder := slogkafkatest.NewRecorder(t)
	log := slog.New(recorder)
	var logging sync.WaitGroup
	for range 8 {
		logging.Go(func() {
			for range 20 {
				log.Info("m")
				_ = recorder.Records()
			}
		})
	}
	logging.Wait()
	if got := len(recorder.Records()); got != 160 {
		t.Errorf("got %d records, want 160", got)
	}
}

// fatal keeps what a test failed with.
type fatal struct {
	testing.TB
	err error
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

func TestTextCannotBeReadBack(t *testing.T) {
	t.Parallel()
	f := &fatal{TB: t}
	var test sync.WaitGroup
	test.Go(func() {
		recorder := slogkafkatest.NewRecorder(f, slogkafka.Text())
		slog.New(recorder).Info("m")
		recorder.Records()
	})
	test.Wait()
	if f.err == nil || !strings.Contains(f.err.Error(), "slogkafkatest: read ") {
		t.Errorf("the test failed with %v", f.err)
	}
}

// A test of what a function logs.
func ExampleRecorder() {
	var t *testing.T // the argument of the test
	recorder := slogkafkatest.NewRecorder(t)
	signIn(slog.New(recorder), "ada")
	records := recorder.Records()
	if len(records) != 1 || records[0].Message != "signed in" {
		t.Errorf("logged %+v", records)
	}
}

func signIn(log *slog.Logger, user string) {
	log.Info("signed in", logrecord.Attr(UserLog{User: user}))
}
