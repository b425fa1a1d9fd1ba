package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// keepTree makes the go command change copies of the files that it would otherwise change in the user's tree: go.mod
// and go.sum with -mod=mod, and go.work.sum, which it writes in every workspace without a vendor directory.
func (g *goCommand) keepTree(ctx context.Context, copies string) error {
	out, err := g.output(ctx, "env", "-json", "GOFLAGS", "GOMOD", "GOWORK")
	if err != nil {
		return err
	}
	var env struct{ GOFLAGS, GOMOD, GOWORK string }
	if err := json.Unmarshal(out, &env); err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	g.allFlags = append(splitGoFlags(env.GOFLAGS), g.flags...)
	switch workspace := env.GOWORK != "" && env.GOWORK != "off"; {
	case workspace && !isDir(filepath.Join(filepath.Dir(env.GOWORK), "vendor")):
		err = g.copyWorkspace(ctx, env.GOWORK, copies)
	case !workspace && stringFlag(g.allFlags, "mod") == "mod" && env.GOMOD != "" && env.GOMOD != os.DevNull:
		err = g.copyModule(env.GOMOD, copies)
	}
	if err != nil {
		return fmt.Errorf("copying what the go command would change: %w", err)
	}
	return nil
}

// copyModule makes the go command use a copy of go.mod, or of the file of -modfile, and of the go.sum beside it.
func (g *goCommand) copyModule(gomod, copies string) error {
	if other := stringFlag(g.allFlags, "modfile"); other != "" {
		gomod = other
		if !filepath.IsAbs(other) {
			gomod = filepath.Join(g.dir, other)
		}
	}
	file := filepath.Join(copies, "go.mod")
	g.flags = append(g.flags, "-modfile="+file)
	return errors.Join(copyFile(file, gomod),
		copyFileIfThere(filepath.Join(copies, "go.sum"), strings.TrimSuffix(gomod, ".mod")+".sum"))
}

// copyWorkspace makes the go command use a copy of go.work, in which relative directories are absolute, and of the
// go.work.sum beside it.
func (g *goCommand) copyWorkspace(ctx context.Context, gowork, copies string) error {
	out, err := g.output(ctx, "work", "edit", "-json", gowork)
	if err != nil {
		return err
	}
	type module struct{ Path, Version string }
	var workspace struct {
		Use     []struct{ DiskPath string }
		Replace []struct{ Old, New module }
	}
	if err := json.Unmarshal(out, &workspace); err != nil {
		return fmt.Errorf("go work edit -json %s: %w", gowork, err)
	}
	file := filepath.Join(copies, "go.work")
	err = errors.Join(copyFile(file, gowork), copyFileIfThere(filepath.Join(copies, "go.work.sum"), gowork+".sum"))
	if err != nil {
		return err
	}
	edit := []string{"work", "edit"}
	absolute := func(dir string) string { return filepath.Join(filepath.Dir(gowork), dir) }
	for _, u := range workspace.Use {
		if !filepath.IsAbs(u.DiskPath) {
			edit = append(edit, "-dropuse="+u.DiskPath, "-use="+absolute(u.DiskPath))
		}
	}
	for _, r := range workspace.Replace {
		old := r.Old.Path
		if r.Old.Version != "" {
			old += "@" + r.Old.Version
		}
		if r.New.Version == "" && !filepath.IsAbs(r.New.Path) {
			edit = append(edit, "-replace="+old+"="+absolute(r.New.Path))
		}
	}
	if len(edit) > 2 {
		if _, err := g.output(ctx, append(edit, file)...); err != nil {
			return err
		}
	}
	g.env = append(g.env, "GOWORK="+file)
	return nil
}

// overlay returns the JSON of an overlay with the content of the user's own overlay, and file as the generated
// main.go.
func (g *goCommand) overlay(generated, file string) ([]byte, error) {
	var list struct{ Replace map[string]string }
	if theirs := stringFlag(g.allFlags, "overlay"); theirs != "" {
		name := theirs
		if !filepath.IsAbs(theirs) {
			name = filepath.Join(g.dir, theirs)
		}
		text, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, &list)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the file of the flag -overlay=%s: %w", theirs, err)
		}
	}
	if list.Replace == nil {
		list.Replace = make(map[string]string)
	}
	list.Replace[generated] = file
	return json.Marshal(list)
}

// coverFlags returns the flags of a build with coverage. The go command's cover tool ignores overlays and does not
// find the generated main. coverTool gives it the file, so that the main starts and ends the counting; the main
// itself is not counted.
func (g *goCommand) coverFlags(main, generated, file string) ([]string, error) {
	packages := stringFlag(g.allFlags, "coverpkg")
	if packages == "" && !boolFlag(g.allFlags, "cover") && stringFlag(g.allFlags, "covermode") == "" {
		return nil, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	tool := []string{program, coverTool, generated, file}
	for i, element := range tool {
		quote := `"`
		if strings.Contains(element, quote) {
			quote = "'"
		}
		tool[i] = quote + element + quote
	}
	flags := []string{"-toolexec=" + strings.TrimSpace(strings.Join(tool, " ")+" "+stringFlag(g.allFlags, "toolexec"))}
	if packages != "" {
		flags = append(flags, "-coverpkg="+packages+","+main)
	}
	return flags, nil
}

// coverTool is the command by which the go command runs its tools in a build with coverage, followed by the name of
// the generated main and that of the file with its content.
const coverTool = "__tool"

func newCoverTool() *cobra.Command {
	return &cobra.Command{
		Use:                coverTool,
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			generated, file, argv := args[0], args[1], args[2:]
			if i := slices.Index(argv, generated); i >= 0 {
				argv[i] = file
				if mode := slices.Index(argv, "-mode"); mode >= 0 {
					argv[mode+1] = "regonly" // registers the counted packages, and is not counted itself
				}
			}
			path, err := exec.LookPath(argv[0])
			if err != nil {
				return err
			}
			return become(path, argv)
		},
	}
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

func copyFileIfThere(to, from string) error {
	if err := copyFile(to, from); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
