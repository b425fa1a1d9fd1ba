package main

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

const (
	// Packages that a generated main imports.
	busPath    = "github.com/kafkaesk/kafkaesk/bus"
	workerPath = busPath + "/worker"
	// This program, which a module may list as a tool.
	commandPath = "github.com/kafkaesk/kafkaesk/cmd/kafkaesk"
)

// form describes how to get an App from a symbol.
type form struct {
	Call   bool // a function that must be called
	Fails  bool // the function also returns an error
	Router bool // the symbol is or returns a *bus.Router, which an App must mount
}

// findSymbol finds a name in the package's exports. Its errors say what to write when the name is missing or cannot
// be run.
func findSymbol(pkg *listed, name string) (form, error) {
	scope, err := exported(pkg)
	if err != nil {
		return form{}, err
	}
	object := scope.Lookup(name)
	if object == nil {
		return form{}, fmt.Errorf("package %s has no %s%s\n%s", pkg.ImportPath, name, others(scope), expected(name))
	}
	if f, ok := formOf(object); ok {
		return f, nil
	}
	is := types.ObjectString(object, func(p *types.Package) string {
		if p.Path() == pkg.ImportPath {
			return ""
		}
		return p.Name()
	})
	return form{}, fmt.Errorf("%s.%s cannot be run as it is: %s\n%s", pkg.ImportPath, name, is, expected(name))
}

// exported reads the compiler's export data: exactly what a main that imports the package sees.
func exported(pkg *listed) (scope *types.Scope, err error) {
	defer func() {
		if problem := recover(); problem != nil { // go/importer panics on the data of a newer Go
			err = fmt.Errorf("reading the types of %s: %v: kafkaesk was built with %s; if your Go is newer, install kafkaesk "+
				"again with it", pkg.ImportPath, problem, runtime.Version())
		}
	}()
	open := func(string) (io.ReadCloser, error) { return os.Open(pkg.Export) }
	p, err := importer.ForCompiler(token.NewFileSet(), "gc", open).Import(pkg.ImportPath)
	if err != nil {
		return nil, fmt.Errorf("reading the types of %s: %w", pkg.ImportPath, err)
	}
	return p.Scope(), nil
}

// formOf returns how to get an App from the object, and whether that is possible.
func formOf(object types.Object) (f form, ok bool) {
	t := object.Type()
	switch object.(type) {
	case *types.Var, *types.Func:
	default:
		return f, false
	}
	if signature, isFunc := t.Underlying().(*types.Signature); isFunc {
		results := signature.Results()
		if signature.Params().Len() > 0 || signature.TypeParams().Len() > 0 || results.Len() < 1 || results.Len() > 2 {
			return f, false
		}
		f.Call, f.Fails = true, results.Len() == 2
		if f.Fails && !types.Identical(results.At(1).Type(), types.Universe.Lookup("error").Type()) {
			return f, false
		}
		t = results.At(0).Type()
	}
	pointer, isPointer := types.Unalias(t).(*types.Pointer)
	if !isPointer {
		return f, false
	}
	named, isNamed := types.Unalias(pointer.Elem()).(*types.Named)
	if !isNamed || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != busPath {
		return f, false
	}
	f.Router = named.Obj().Name() == "Router"
	return f, f.Router || named.Obj().Name() == "App"
}

// others lists the names of the package that can be run.
func others(scope *types.Scope) string {
	names := slices.DeleteFunc(scope.Names(), func(name string) bool {
		_, ok := formOf(scope.Lookup(name))
		return !ok || !token.IsExported(name)
	})
	if len(names) == 0 {
		return ""
	}
	return "; it has " + strings.Join(names, ", ")
}

// expected describes what can be run.
func expected(name string) string {
	return fmt.Sprintf(`kafkaesk runs one of these:
	var %[1]s *bus.App
	func %[1]s() *bus.App
	func %[1]s() (*bus.App, error)
	var %[1]s *bus.Router
	func %[1]s() *bus.Router
	func %[1]s() (*bus.Router, error)`, name)
}
