package logrecord

import (
	"log/slog"
	"reflect"
)

// Model marks the struct that embeds it, by value or by pointer, as a log model: a part of the log record. It has no
// fields.
type Model struct{}

// IsLogModel tells that the type is a log model. A type that cannot embed Model may have this method itself.
func (Model) IsLogModel() bool { return true }

// marked is what makes a value a log model.
type marked interface{ IsLogModel() bool }

// Attr returns the model as an attribute: for slog.Logger.LogAttrs, which takes nothing else, and for go vet, which
// takes a model that stands alone among the arguments of a log call for a value whose key is missing. The key is the
// name of the model's type: our handlers drop it, and others have a name to show the model under. A nil interface gives
// the empty attribute, which handlers ignore.
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
