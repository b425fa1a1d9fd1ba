package logrecord

import (
	"log/slog"
	"reflect"
)

// Model marks the struct that embeds it, by value or by pointer, as a log model: its fields become fields of the log
// record. It has no fields itself.
type Model struct{}

// IsLogModel marks the type as a log model. A type that cannot embed Model may implement this method itself.
func (Model) IsLogModel() bool { return true }

// marked is the interface of log models.
type marked interface{ IsLogModel() bool }

// Attr returns the model as an attribute. slog.Logger.LogAttrs takes nothing else. In other log calls the model may
// stand alone, but go vet then reports a missing key. The key is the name of the model's type: the handlers of
// slogkafka leave it out, and others show the model under it. A nil interface gives the empty attribute, which
// handlers ignore.
func Attr(model any) slog.Attr {
	if model == nil {
		return slog.Attr{}
	}
	t := reflect.TypeOf(model)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return slog.Any("model", model)
	}
	return slog.Any(t.Name(), model)
}
