package goroutine

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLayoutOfVersions(t *testing.T) {
	for version, known := range map[string]bool{
		"go1.22.9": false, "go1.23": true, "go1.24.10": true, "go1.25rc1": true, "go1.26.1 X:boringcrypto": true,
		"devel go1.27-4ca2c9a0 Mon Jun": true, "go1.31.2": true, "": false, "go2.0": false, "go1.": false, "go1.99999999999999999999": false,
	} {
		if _, ok := layoutOf(version); ok != known {
			t.Errorf("%q: known is %v", version, ok)
		}
	}
	a, _ := layoutOf("go1.24.1")
	b, _ := layoutOf("go1.25.1")
	if a == b {
		t.Error("two layouts are one")
	}
}

// TestLayoutIsThatOfTheDebugInformation compares the table with what compilers
// write: the one that runs, and those of GOROUTINE_TOOLCHAINS ("go1.23.12 ...").
func TestLayoutIsThatOfTheDebugInformation(t *testing.T) {
	dir := t.TempDir() // outside of this module, which asks for a newer Go
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() { select {} }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	toolchains := append([]string{"local"}, strings.Fields(os.Getenv("GOROUTINE_TOOLCHAINS"))...)
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			version := toolchain
			if toolchain == "local" {
				version = runtime.Version()
			}
			want, ok := layoutOf(version)
			if !ok {
				t.Fatalf("%s has no layout", version)
			}
			if got := layoutIn(t, program); got != want {
				t.Errorf("%s: the table has %+v, the program %+v", version, want, got)
			}
		})
	}
}

func layoutIn(t *testing.T, program string) layout {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	g, buf := structOf(t, info, "runtime.g"), structOf(t, info, "runtime.gobuf")
	l := layout{
		sp: g["sched"] + buf["sp"], pc: g["sched"] + buf["pc"], self: g["sched"] + buf["g"], bp: g["sched"] + buf["bp"],
		status: g["atomicstatus"], goid: g["goid"], waitSince: g["waitsince"], creator: g["gopc"],
		turns: g["trackingSeq"],
	}
	l.size = l.creator + 8 // no more of it is read
	if g["stack"] != 0 {
		t.Error("the stack is not first")
	}
	return l
}

func structOf(t *testing.T, info *dwarf.Data, name string) map[string]int {
	t.Helper()
	r := info.Reader()
	for {
		e, err := r.Next()
		if err != nil || e == nil {
			t.Fatalf("there is no %s: %v", name, err)
		}
		if e.Tag == dwarf.TagStructType && e.Val(dwarf.AttrName) == name {
			typ, err := info.Type(e.Offset)
			if err != nil {
				t.Fatal(err)
			}
			at := map[string]int{}
			for _, field := range typ.(*dwarf.StructType).Field {
				at[field.Name] = int(field.ByteOffset)
			}
			return at
		}
		if e.Tag != dwarf.TagCompileUnit {
			r.SkipChildren()
		}
	}
}
