package syscallreceiver

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
)

func TestGroupMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"no groups": {fstest.MapFS{}, 0},
		"no bound":  {fstest.MapFS{"proc/self/cgroup": file("0::/a.slice/b.service\n"), "sys/fs/cgroup/a.slice/b.service/memory.max": file("max\n")}, 0},
		"its own": {fstest.MapFS{
			"proc/self/cgroup": file("0::/a.slice/b.service\n"), "sys/fs/cgroup/a.slice/b.service/memory.max": file("1073741824\n"),
			"sys/fs/cgroup/a.slice/memory.max": file("max\n"),
		}, 1 << 30},
		"that around it": {fstest.MapFS{
			"proc/self/cgroup": file("1:name=systemd:/x\n0::/a.slice/b.service\n"), "sys/fs/cgroup/a.slice/b.service/memory.max": file("1073741824\n"),
			"sys/fs/cgroup/a.slice/memory.max": file("536870912\n"),
		}, 1 << 29},
		"version 1": {fstest.MapFS{
			"proc/self/cgroup": file("9:name=systemd:/\n4:memory:/a\n0::/\n"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("536870912\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		}, 1 << 29},
		"of a container": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("268435456\n")}, 1 << 28},
	} {
		assert.Equal(t, c.want, groupMemory(c.root), name)
	}
}

func TestTheMemoryLimitFollowsWhatIsInUse(t *testing.T) {
	const mib = int64(1 << 20)
	for name, c := range map[string]struct{ used, now, ceiling, want int64 }{
		"at first":                {0, 0, math.MaxInt64, usualMemory},
		"a small control group":   {0, 0, 200 * mib, 200 * mib},
		"little in use":           {100 * mib, usualMemory, math.MaxInt64, usualMemory},
		"others hold more":        {400 * mib, usualMemory, math.MaxInt64, 900 * mib},
		"still":                   {500 * mib, 900 * mib, math.MaxInt64, 900 * mib},
		"no more":                 {10 * mib, 900 * mib, math.MaxInt64, usualMemory},
		"more than the group has": {700 * mib, 800 * mib, 800 * mib, 800 * mib},
	} {
		assert.Equal(t, c.want, limitFor(c.used, c.now, c.ceiling), name)
	}
	m := limitMemory(zap.NewNop())
	if m == nil {
		t.Skip("GOMEMLIMIT is set")
	}
	assert.Equal(t, m.now, debug.SetMemoryLimit(-1))
	assert.Nil(t, limitMemory(zap.NewNop()), "who comes second leaves it alone")
	m.close()
	assert.Equal(t, int64(math.MaxInt64), debug.SetMemoryLimit(-1))
}
