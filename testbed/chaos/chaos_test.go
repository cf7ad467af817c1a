//go:build linux

package chaos

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// TestShort runs the part of `make chaos` that continuous integration has time for:
// the collector is stopped for a while, then beside all hostile programs at once.
// Its bounds are those that a busy machine keeps, too: bytes, and that what is
// asked for comes at last.
func TestShort(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loading eBPF programs")
	}
	if os.Getenv("PERFSCOPE_CHAOS") == "" {
		t.Skip("its programs hurt the tests of other packages: set PERFSCOPE_CHAOS=1, as make test does, and run it alone")
	}
	root, err := server.Repository()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Root: root, Binary: filepath.Join(root, "bin", "otelcol-perfscope"),
		Config: filepath.Join(root, "config", "agent.yaml"), Record: filepath.Join(root, "config", "record.yaml"),
		Out: t.TempDir(), Learn: 40 * time.Second, FoundWithin: 2 * time.Minute,
	}
	if err := Programs(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	for _, f := range Faults() {
		if !f.Short {
			continue
		}
		r := Run(t.Context(), f, o)
		t.Logf("%+v", r)
		if r.Error != "" || !r.Survived || !r.VictimFound || r.MaxRSS > maxRSS || r.LostCounted == nil || !*r.LostCounted {
			log, _ := os.ReadFile(filepath.Join(o.Out, "chaos", directory(f.Name), "collector.log"))
			t.Errorf("%s: %+v\n%s", f.Name, r, log[max(0, len(log)-8<<10):])
		}
	}
}
