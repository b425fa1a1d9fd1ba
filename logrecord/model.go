package logrecord

import (
	"log/slog"
	"reflect"
)

// Model marks the struct that embeds it, by value or by pointer, as a log model: a part of the log record. It has no fields.
type Model struct{}

// IsLogModel tells that the type is a log model. A type that cannot embed Model may have this method itself.
func (Model) IsLogModel() bool { return true }

// marked is what makes a value a log model.
type marked interface{ IsLogModel() bool }

// Attr returns the model as an attribute for the methods of a slog.Logger that take nothing else. The key is the name
// of the model's type: our handlers drop it, and others have a name to show the model under.
func Attr(model any) slog.Attr {
	t := reflect.TypeOf(model)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Name() == "" {
		return slog.Any("model", model)
	}
	return slog.Any(t.Name(), model)
}
