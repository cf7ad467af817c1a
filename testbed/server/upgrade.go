package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Dependency is a version of a module of the Go module proxy, or of a package of npm.
type Dependency struct{ Path, Version string }

func (d Dependency) String() string { return d.Path + "@" + d.Version }

// file is the dependency as part of a file's name.
func (d Dependency) file() string {
	return strings.NewReplacer("/", "-", "@", "").Replace(d.Path) + "-" + d.Version
}

// Build is one way to build a Go program.
type Build struct {
	Of Dependency
	// Layout, if not zero, has the linker put the functions in another order: the same
	// code under another build id.
	Layout int
}

func (b Build) flags() []string {
	if b.Layout == 0 {
		return nil
	}
	return []string{fmt.Sprintf("-ldflags=-randlayout=%d -buildid=layout%[1]d", b.Layout)}
}

func (b Build) dir() (string, error) {
	root, err := Repository()
	if err != nil {
		return "", err
	}
	name := b.Of.file()
	if b.Layout != 0 {
		name += fmt.Sprintf("-layout%d", b.Layout)
	}
	return filepath.Join(root, "testbed", "bin", name), nil
}

// StartUpgrade builds a program of testbed/apps/upgrades with a version of the module it
// uses, once, and starts it as a service of some name.
func StartUpgrade(ctx context.Context, service, app string, b Build) (*Server, error) {
	path, err := buildUpgrade(ctx, app, b)
	if err != nil {
		return nil, err
	}
	return startGo(ctx, service, path, app+" with "+b.Of.String(), func(addr, _ string) []string { return []string{"-listen", addr} })
}

// buildUpgrade makes a module of its own for the program: the version of a dependency is
// the module's.
func buildUpgrade(ctx context.Context, app string, b Build) (string, error) {
	building.Lock()
	defer building.Unlock()
	dir, err := b.dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, app)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := copyUpgrade(dir, "serve.go", app+".go"); err != nil {
		return "", err
	}
	build := append(append([]string{"build", "-o", path}, b.flags()...), app+".go", "serve.go")
	for _, args := range [][]string{{"mod", "init", "upgrades"}, {"get", b.Of.String()}, build} {
		if err := runTool(ctx, dir, nil, "go", args...); err != nil {
			return "", err
		}
	}
	return path, nil
}

// StartInstalled installs a program of the module proxy, once, and starts it as a service
// of some name.
func StartInstalled(ctx context.Context, service string, b Build, args func(addr, dir string) []string) (*Server, error) {
	dir, err := b.dir()
	if err != nil {
		return nil, err
	}
	if err := install(ctx, dir, b); err != nil {
		return nil, err
	}
	programs, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(programs) != 1 {
		return nil, fmt.Errorf("%s has %d programs: %w", dir, len(programs), err)
	}
	return startGo(ctx, service, programs[0], b.Of.String(), args)
}

func install(ctx context.Context, dir string, b Build) error {
	building.Lock()
	defer building.Unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	args := append(append([]string{"install"}, b.flags()...), b.Of.String())
	return runTool(ctx, os.TempDir(), []string{"GOBIN=" + dir}, "go", args...) // outside every module
}

// StartNodeUpgrade installs a version of a package of npm, once, and starts a program of
// testbed/apps/upgrades with it, as a service of some name. It writes a perf map, which
// RemovePerfMap takes away.
func StartNodeUpgrade(ctx context.Context, service, app string, of Dependency) (*Server, error) {
	node, err := find("node")
	if err != nil {
		return nil, err
	}
	dir, err := installNodeUpgrade(ctx, app, of)
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: service, Version: app + " with " + of.String(), Path: node,
		Args: func(addr, _ string) []string {
			return append(append([]string{}, nodeNames...), filepath.Join(dir, app+".js"), "--listen", addr)
		},
		Env: []string{"OTEL_SERVICE_NAME=" + service, "NODE_ENV=production"},
	})
}

func installNodeUpgrade(ctx context.Context, app string, of Dependency) (string, error) {
	building.Lock()
	defer building.Unlock()
	dir, err := Build{Of: of}.dir()
	if err != nil {
		return "", err
	}
	if err := copyUpgrade(dir, "serve.js", app+".js"); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir, nil
	}
	npm, err := find("npm")
	if err != nil {
		return "", err
	}
	return dir, runTool(ctx, dir, nil, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", of.String())
}

func copyUpgrade(dir string, files ...string) error {
	root, err := Repository()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(root, "testbed", "apps", "upgrades", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// runTool runs a tool of a developer to its end.
func runTool(ctx context.Context, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
