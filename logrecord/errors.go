package logrecord

import (
	"fmt"
	"reflect"
	"strings"
)

// failed makes the first error at the top of the record fill exception and stack.
func (b *builder) failed(err error) {
	if err == nil || b.exception != "" || !b.atRoot() || isNil(err) {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			b.exception, b.stack = reflect.TypeOf(err).String(), panicNote+fmt.Sprint(r)
		}
	}()
	b.exception = reflect.TypeOf(cause(err)).String()
	b.stack = errorText(err)
}

func isNil(err error) bool {
	v := reflect.ValueOf(err)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// maxChain bounds the inspected errors of a chain: an Unwrap may never end.
const maxChain = 100

// chain calls f for err and the errors that it wraps, depth first, until f returns false.
func chain(err error, left *int, f func(error) bool) bool {
	if *left--; err == nil || isNil(err) || *left < 0 {
		return true
	}
	if !f(err) {
		return false
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		return chain(x.Unwrap(), left, f)
	case interface{ Unwrap() []error }:
		for _, inner := range x.Unwrap() {
			if !chain(inner, left, f) {
				return false
			}
		}
	}
	return true
}

// cause returns the first error of the chain that is not a wrapper. The wrappers are those of fmt and errors, whose
// type says nothing about the cause, and those of github.com/pkg/errors, which add a text or a stack.
func cause(err error) error {
	found, left := err, maxChain
	chain(err, &left, func(e error) bool {
		found = e
		return isWrapper(e)
	})
	return found
}

func isWrapper(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }:
	default:
		return false
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() {
	case "fmt", "errors", "github.com/pkg/errors":
		return true
	}
	return false
}

// errorText returns the text of the chain with the stack that an error in it carries. Errors with a stack print it
// with %+v, but their wrappers do not pass that on.
func errorText(err error) string {
	if f, ok := err.(fmt.Formatter); ok {
		return fmt.Sprintf("%+v", f)
	}
	var text strings.Builder
	text.WriteString(err.Error())
	left := maxChain
	appendTraced(err, &left, &text)
	return text.String()
}

// appendTraced appends, for each branch, the %+v text of the first error with a Format method.
func appendTraced(err error, left *int, text *strings.Builder) {
	if *left--; err == nil || isNil(err) || *left < 0 {
		return
	}
	if f, ok := err.(fmt.Formatter); ok {
		fmt.Fprintf(text, "\n%+v", f)
		return
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		appendTraced(x.Unwrap(), left, text)
	case interface{ Unwrap() []error }:
		for _, inner := range x.Unwrap() {
			appendTraced(inner, left, text)
		}
	}
}
