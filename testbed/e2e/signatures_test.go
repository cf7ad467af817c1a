//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/signatures"
)

// TestExtraction extracts the signatures of a real redis, with stacks taken by
// the kernel at every call.
func TestExtraction(t *testing.T) {
	needRoot(t)
	x, err := signatures.Extract(t.Context(), signatures.Redis(), runner.Options{Binary: binary, Config: config, Out: t.TempDir()}, 12*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(x.Directory, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q was written, not one file: %v", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := signature.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if f.BuildIDKind != "gnu" || !strings.Contains(files[0], f.BuildID[:16]) || f.Load == "" || f.Calls < 10_000 {
		t.Errorf("%s: %+v of %d calls", files[0], f.Program, f.Calls)
	}
	// What src/aof.c and src/networking.c say: the file is written, then synced;
	// a request is read.
	for name, last := range map[string]string{"flushAppendOnlyFile": "fdatasync", "readQueryFromClient": "read"} {
		i := slices.IndexFunc(f.Functions, func(fn signature.Function) bool { return fn.Name == name })
		if i < 0 {
			t.Errorf("%s has no signature", name)
			continue
		}
		if !slices.ContainsFunc(f.Functions[i].Signatures, func(s signature.Signature) bool {
			return strings.HasSuffix(", "+s.Episode.Text(f.Arch), ", "+last)
		}) {
			t.Errorf("%s is not told by %s: %+v", name, last, f.Functions[i].Signatures)
		}
	}
}
