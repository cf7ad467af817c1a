// Package group puts the servers of a testbed run into a control group of their own, of
// version 1, so that they can be given less of the machine.
package group

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// root is where the hierarchies of version 1 are mounted.
const root = "/sys/fs/cgroup"

// Group is a control group in some hierarchies.
type Group struct {
	// Path is how /proc/PID/cgroup calls it.
	Path        string
	controllers []string
}

// New makes a group in the hierarchies of controllers. Remove must be called.
func New(name string, controllers ...string) (*Group, error) {
	g := &Group{Path: "/perfscope-" + name, controllers: controllers}
	for _, c := range controllers {
		if err := os.Mkdir(g.dir(c), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, errors.Join(fmt.Errorf("a control group of version 1 is needed: %w", err), g.Remove())
		}
	}
	return g, nil
}

func (g *Group) dir(controller string) string { return filepath.Join(root, controller, g.Path) }

// Add moves processes into it; what they start later is in it, too.
func (g *Group) Add(pids ...int) error {
	var errs []error
	for _, c := range g.controllers {
		for _, pid := range pids {
			err := g.Set(c, "cgroup.procs", strconv.Itoa(pid))
			if _, gone := os.Stat("/proc/" + strconv.Itoa(pid)); gone == nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Set writes a file of it.
func (g *Group) Set(controller, file, value string) error {
	return os.WriteFile(filepath.Join(g.dir(controller), file), []byte(value), 0o644)
}

// Remove removes it, once its processes have ended; those that have not are moved out.
func (g *Group) Remove() error {
	var errs []error
	for _, c := range g.controllers {
		if data, err := os.ReadFile(filepath.Join(g.dir(c), "cgroup.procs")); err == nil {
			for _, pid := range strings.Fields(string(data)) {
				_ = os.WriteFile(filepath.Join(root, c, "cgroup.procs"), []byte(pid), 0o644) // it may have ended
			}
		}
		if err := os.Remove(g.dir(c)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
