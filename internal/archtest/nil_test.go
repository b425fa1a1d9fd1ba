package archtest

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/slogkafka"
	"github.com/kafkaesk/kafkaesk/slogkafka/slogkafkatest"
)

type document map[string]any

// nilOptions has a case for each exported type of options: a call of all that takes them, with a nil one.
var nilOptions = map[string]func(t *testing.T) error{
	"bus.SchemaOption": func(*testing.T) error {
		return bus.Schema[struct{}](bus.NewRouter(), "Empty", nil, bus.Version(2))
	},
	"bus.SubscribeOption": func(*testing.T) error {
		return bus.Subscribe(bus.NewRouter(), "s", handleDocument, nil, bus.Group("g"))
	},
	"bus.PublishOption": func(t *testing.T) error {
		app := bustest.NewApp(t)
		bus.MustSchema[document](app, "Doc")
		m := bustest.NewMessage(t, "s", document{})
		return errors.Join(
			app.Publish(t.Context(), "s", document{}, nil),
			app.PublishAsync(t.Context(), "s", document{}, nil).Wait(t.Context()),
			app.PublishRaw(t.Context(), "s", []byte("{}"), nil),
			m.Forward(m.Context(), "s", nil),
			bus.Forward(m.Context(), m.Record, "s", nil),
		)
	},
	"bus.TailOption": func(t *testing.T) error {
		for _, err := range bustest.NewApp(t).Tail(t.Context(), "s", nil, bus.StopAtEnd()) {
			return err
		}
		return nil
	},
	"bustest.Option": func(t *testing.T) error { return bustest.NewApp(t, nil).Initialize(t.Context()) },
	"monitor.Option": func(*testing.T) error {
		monitor.Handler(nil, nil)
		return nil
	},
	"slogkafka.Option": func(t *testing.T) error {
		h := slogkafka.NewHandler(bustest.NewApp(t), "logs", nil)
		return errors.Join(h.Err(), h.Close(t.Context()))
	},
	"slogkafka.KafkaOption": func(t *testing.T) error {
		h := slogkafka.NewHandler(bustest.NewApp(t), "logs", slogkafka.KafkaOption(nil))
		return errors.Join(h.Err(), h.Close(t.Context()))
	},
	"slogkafka.RecordOption": func(t *testing.T) error {
		h := slogkafka.NewHandler(bustest.NewApp(t), "logs", slogkafka.RecordOption(nil), slogkafka.Shared(nil))
		slog.New(slogkafka.NewStreamHandler(io.Discard, slogkafka.RecordOption(nil))).Info("m")
		return errors.Join(h.Err(), h.Close(t.Context()))
	},
	"slogkafka.StreamOption": func(t *testing.T) error {
		slog.New(slogkafka.NewStreamHandler(io.Discard, nil)).Info("m")
		slog.New(slogkafkatest.NewRecorder(t, nil)).Info("m")
		return nil
	},
}

func handleDocument(context.Context, document) error { return nil }

// A nil option changes nothing, in every package.
func TestANilOptionChangesNothing(t *testing.T) {
	t.Parallel()
	for _, name := range optionTypes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := nilOptions[name]
			if call == nil {
				t.Fatalf("nilOptions has no case for %s", name)
			}
			if err := call(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// optionTypes returns the exported types of options that users can get at: functions whose type's name ends in Option.
func optionTypes(t *testing.T) []string {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	var names []string
	for _, top := range []string{"bus", "logrecord", "slogkafka"} {
		err := fs.WalkDir(root, top, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "internal":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			code, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, code, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.TypeSpec); ok && s.Name.IsExported() && strings.HasSuffix(s.Name.Name, "Option") {
					names = append(names, file.Name.Name+"."+s.Name.Name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
