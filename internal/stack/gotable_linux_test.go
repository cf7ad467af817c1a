package stack

import (
	"debug/elf"
	"os"
	"strings"
	"testing"
)

func openSelf(t *testing.T) *os.File {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestAFunctionIsInItsOwnFile though what is inlined in it is of another, whether the
// table says so or is of a version whose inlined functions are not read.
func TestAFunctionIsInItsOwnFile(t *testing.T) {
	r := openSelf(t)
	f, err := elf.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	table := loadGoTable(allowed(t), r, f, hostArchitecture())
	if table == nil {
		t.Fatal("this program has no table")
	}
	inlined := 0
	for i := range min(table.nfunc, 4000) {
		fn, ok := table.function(i)
		if !ok || !strings.HasPrefix(fn.name, "os.") || fn.name == "os.init" { // of all files of the package
			continue
		}
		for addr := fn.entry; addr < fn.end && inlined < 500; addr += 16 {
			at := table.position(&fn, addr)
			if len(at) < 2 || at[0].file == at[len(at)-1].file {
				continue
			}
			inlined++
			old := *table
			old.inline = piece{}
			if got := old.position(&fn, addr); len(got) != 1 || got[0].file != at[len(at)-1].file {
				t.Errorf("%s at %#x: %v, with the inlined functions %v", fn.name, addr-fn.entry, got, at)
			}
		}
	}
	if inlined == 0 {
		t.Error("nothing is inlined in os")
	}
}
