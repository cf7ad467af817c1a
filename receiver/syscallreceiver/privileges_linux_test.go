package syscallreceiver

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDropPrivileges does so in a process of its own, as there is no way back.
func TestDropPrivileges(t *testing.T) {
	const child = "PERFSCOPE_TEST_DROP"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDropPrivileges$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	err := dropPrivileges()
	if errors.Is(err, syscall.ENOTSUP) {
		t.Skip("the test is built with cgo, which the collector is not: CGO_ENABLED=0 go test")
	}
	require.NoError(t, err)
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	require.Greater(t, len(tasks), 1, "all threads are meant")
	for _, task := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch key {
			case "CapPrm", "CapEff", "CapBnd":
				// KILL, NET_BIND_SERVICE, DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF,
				// CHECKPOINT_RESTORE, or fewer.
				assert.Contains(t, []string{"000001c000080424", "0000000000000000"}, value, "%s of thread %s", key, task.Name())
			case "NoNewPrivs":
				assert.Equal(t, "1", value)
			}
		}
	}
}
