//go:build linux

package install

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// container is one that runc runs.
type container struct {
	*proc.Process // runc itself, which hands signals on
	id, state     string
	// Log is what the container prints.
	Log string
}

// runBundle runs the bundle of a folder until the test ends.
func runBundle(t *testing.T, runc, dir, id string) container {
	t.Helper()
	c := container{id: id, state: t.TempDir(), Log: filepath.Join(dir, "container.log")}
	p, err := proc.Start(proc.Options{Path: runc, Args: []string{"--root", c.state, "run", "--bundle", dir, id}, Output: c.Log})
	if err != nil {
		t.Fatal(err)
	}
	c.Process = p
	// It removes the container once this process closes the pipe or ends, however that is.
	remover := exec.Command("sh", "-c", `cat; exec "$0" --root "$1" delete --force "$2"`, runc, c.state, id) //nolint:noctx // see above
	remover.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := remover.StdinPipe()
	if err == nil {
		err = remover.Start()
	}
	t.Cleanup(func() {
		_ = c.Stop(20 * time.Second)
		_ = pipe.Close()
		_ = remover.Wait() // an error: it is gone by itself
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pid is the container's first process, as the machine counts.
func (c container) pid(t *testing.T, runc string) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		out, err := exec.CommandContext(t.Context(), runc, "--root", c.state, "state", c.id).Output()
		var state struct {
			Pid    int    `json:"pid"`
			Status string `json:"status"`
		}
		if err == nil && json.Unmarshal(out, &state) == nil && state.Status == "running" {
			return state.Pid
		}
		select {
		case <-c.Done():
			t.Fatalf("the container ended: %v\n%s", c.Err(), read(t, c.Log))
		default:
		}
	}
	t.Fatalf("the container does not run:\n%s", read(t, c.Log))
	return 0
}

// serverPod is a pod that runs one of the machine's programs.
type serverPod struct {
	name, cgroup, network string
	args                  []string
}

// bundle writes what runc starts: the program has the machine's /usr in a root file
// system, and everything else (processes, network, name, control group) of its own.
func (s serverPod) bundle(t *testing.T, runc string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-pod-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	root := filepath.Join(dir, "rootfs")
	mounts := []any{}
	for _, name := range []string{"usr", "bin", "sbin", "lib", "lib64", "etc"} {
		if to, err := os.Readlink("/" + name); err == nil {
			write(t, filepath.Join(root, "tmp", ".keep"), "", 0o644)
			if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		} else if _, err := os.Stat("/" + name); err == nil {
			mounts = append(mounts, map[string]any{
				"destination": "/" + name, "type": "bind", "source": "/" + name, "options": []string{"rbind", "ro"},
			})
		}
	}
	run(t, runc, "spec", "--bundle", dir)
	file := filepath.Join(dir, "config.json")
	var spec map[string]any
	if err := json.Unmarshal([]byte(read(t, file)), &spec); err != nil {
		t.Fatal(err)
	}
	process, linux := spec["process"].(map[string]any), spec["linux"].(map[string]any)
	process["terminal"], process["args"], process["cwd"] = false, s.args, "/tmp"
	spec["hostname"], spec["root"] = s.name, map[string]any{"path": "rootfs"}
	spec["mounts"] = append(spec["mounts"].([]any), mounts...)
	linux["cgroupsPath"] = s.cgroup
	for _, n := range linux["namespaces"].([]any) {
		if n := n.(map[string]any); n["type"] == "network" {
			n["path"] = s.network
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(data), 0o644)
	return dir
}

// namespacesOf are the namespaces of a process, by kind.
func namespacesOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid), "ns")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(e.Name(), "_for_children")] = to
	}
	return out
}
