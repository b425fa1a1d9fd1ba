package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// virtualDir is the directory of the generated main, below that of its package: from there it may import an internal
// package too. It exists only in the go command's overlay, never on disk.
const virtualDir = "kafkaesk_worker_main"

// plan describes what to build for a target.
type plan struct {
	target target
	pkg    *listed
	symbol string
	main   []byte // the generated main; nil for a package main, which needs none
}

// resolve finds the package of the target. Its errors say what to do when the target cannot be built.
func resolve(ctx context.Context, t target, g *goCommand) (*plan, error) {
	packages, err := g.list(ctx, t.pattern, workerPath)
	if err != nil {
		return nil, err
	}
	if len(packages) != 2 {
		return nil, fmt.Errorf("%s means %d packages: name one", t.given, len(packages)-1)
	}
	p := &plan{target: t, pkg: packages[0], symbol: cmp.Or(t.symbol, defaultSymbol)}
	worker := packages[1]
	switch {
	case p.pkg.Name == "main" && t.symbol != "":
		return nil, fmt.Errorf("%s is a program (package main), which nothing can import: run it as it is, by %s, or move "+
			"%s into a package of its own",
			p.pkg.ImportPath, strings.TrimSuffix(t.given, ":"+t.symbol), t.symbol)
	case p.pkg.Name == "main" && p.pkg.err() == nil:
		return p, nil
	case p.pkg.Standard:
		return nil, fmt.Errorf("%s is a package of the standard library: name one of yours, like ./pkg:App", p.pkg.ImportPath)
	case p.pkg.Module == nil && p.pkg.err() == nil:
		return nil, fmt.Errorf("%s is not in a module: create one with go mod init", p.pkg.ImportPath)
	case p.pkg.Module != nil && !p.pkg.Module.Main:
		return nil, fmt.Errorf("%s belongs to the module %s, which this one only requires: run it in its own module, or "+
			"write a main that calls worker.Main",
			p.pkg.ImportPath, p.pkg.Module.Path)
	case p.pkg.Module != nil && worker.err() != nil:
		return nil, withoutWorker(p.pkg.Module.Path, p.pkg.Module.Dir, worker.err())
	case p.pkg.err() != nil:
		return nil, fmt.Errorf("%s: %w", t.given, p.pkg.err())
	}
	f, err := findSymbol(p.pkg, p.symbol)
	if err != nil {
		return nil, err
	}
	if dir := p.virtualDir(); !missing(dir) {
		return nil, fmt.Errorf("%s exists: kafkaesk needs this name for the main that it generates, which is never "+
			"written to the disk", dir)
	}
	p.main, err = generate(source{form: f, Target: t.given, Package: p.pkg.ImportPath, Symbol: p.symbol})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// withoutWorker returns the advice for a module that lacks the package that the generated main imports, or a
// dependency of it.
func withoutWorker(module, dir string, err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "-mod=vendor"):
		return fmt.Errorf("the vendor directory of the module %s lacks %s, which the generated main imports. Write "+
			"tools/tools.go, which is part of no program:\n\n\t//go:build tools\n\n\tpackage tools\n\n\timport _ %[2]q\n\nand "+
			"run, in %s,\n\n\tgo mod vendor", module, workerPath, dir)
	case strings.Contains(text, "no required module provides"):
		return fmt.Errorf("the module %s does not require kafkaesk, and nothing is changed in it here. Run, in %s,\n\n\tgo "+
			"get %s", module, dir, workerPath)
	case strings.Contains(text, "missing go.sum entry"):
		// go mod tidy alone does not help: it adds sums for the imports of the module's own packages, and none of
		// them imports worker.
		return fmt.Errorf("the module %s lacks sums of what the generated main imports, and nothing is changed in it here: "+
			"%w\nRun, in %s,\n\n\tgo mod edit -tool=%s\n\tgo mod tidy", module, err, dir, commandPath)
	default:
		return err
	}
}

func (p *plan) virtualDir() string { return filepath.Join(p.pkg.Dir, virtualDir) }

// build builds the program into a file. It writes its own files into scratch, a directory that is not the user's.
func (p *plan) build(ctx context.Context, g *goCommand, scratch, output string, flags ...string) error {
	if p.main == nil {
		return g.build(ctx, output, p.target.pattern, flags...)
	}
	file, overlay := filepath.Join(scratch, "main.go"), filepath.Join(scratch, "overlay.json")
	generated := filepath.Join(p.virtualDir(), "main.go")
	list, err := g.overlay(generated, file)
	if err == nil {
		err = errors.Join(os.WriteFile(file, p.main, 0o600), os.WriteFile(overlay, list, 0o600))
	}
	var cover []string
	if err == nil {
		cover, err = g.coverFlags(p.pkg.ImportPath+"/"+virtualDir, generated, file)
	}
	if err != nil {
		return fmt.Errorf("preparing the build: %w", err)
	}
	return g.build(ctx, output, p.virtualDir(), append(append(cover, "-overlay", overlay), flags...)...)
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// name returns the name of the program's file: the last element of the import path that is not a version, as go build
// does.
func (p *plan) name() string {
	base := path.Base(p.pkg.ImportPath)
	if up := path.Base(path.Dir(p.pkg.ImportPath)); majorVersion.MatchString(base) && up != "." {
		return up
	}
	return base
}
