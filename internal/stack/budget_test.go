//go:build linux

package stack

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"
)

// TestForgottenProcessIsFreed: the stacks cached of a process do not hold it.
func TestForgottenProcessIsFreed(t *testing.T) {
	u := NewUnwinder(Options{})
	pid := int32(os.Getpid())
	if _, err := u.Unwind(pid, Registers{IP: uint64(reflect.ValueOf(NewUnwinder).Pointer()) + 4, SP: 0x1000}, Copy{}); err != nil {
		t.Fatal(err)
	}
	held := weak.Make(u.processes[pid])
	u.Forget(pid)
	for range 3 {
		runtime.GC()
	}
	if held.Value() != nil {
		t.Error("the process is held")
	}
	if u.Stats().CachedStacks != 1 {
		t.Error("no stack was cached")
	}
}

// TestPerfMapsShareABudget has three processes with perf maps of about 1 MiB.
func TestPerfMapsShareABudget(t *testing.T) {
	now := time.Unix(1000, 0)
	u := NewUnwinder(Options{MaxPerfMapBytes: 5 << 19, Now: func() time.Time { return now }})
	var text strings.Builder
	for i := range 8 << 10 {
		fmt.Fprintf(&text, "%x 10 %s\n", 0x1000+i*16, strings.Repeat("n", 96))
	}
	for pid := range int32(3) {
		p := &process{pid: pid, used: uint64(pid), perf: &perfMap{}}
		u.processes[pid] = p
		if err := p.perf.update(strings.NewReader(text.String()), int64(text.Len())); err != nil {
			t.Fatal(err)
		}
		u.shrinkPerfMaps(p)
		if s := u.Stats(); s.PerfMapBytes > 5<<19 || s.PerfMapBytes == 0 {
			t.Errorf("%d bytes are held", s.PerfMapBytes)
		}
	}
	if s := u.Stats(); s.PerfMapEvictions != 1 || u.processes[0].perf.bytes() != 0 || u.processes[1].perf.bytes() == 0 {
		t.Errorf("%d dropped, not the one used least recently", s.PerfMapEvictions)
	}
	if n := u.processes[2].perf.bytes(); n < 1<<20 || n > 2<<20 {
		t.Errorf("a map is %d bytes", n)
	}
}

// TestOneStackIsWithinTheBudget: the modules of a walk cannot be dropped, so
// that one beyond the budget must load no more.
func TestOneStackIsWithinTheBudget(t *testing.T) {
	u := NewUnwinder(Options{MaxModuleBytes: 1})
	pid := int32(os.Getpid())
	find := func(p *process) *mapping {
		for i := range p.maps {
			if p.maps[i].isVDSO() {
				return &p.maps[i]
			}
		}
		return nil
	}
	// Its first frame is in this program, its caller, by frame pointer, in
	// the vDSO: what matters is that both modules are of one walk.
	err := u.patiently(pid, maxWork, func(p *process) {
		vdso := find(p)
		if vdso == nil {
			return
		}
		if mod := u.program(p); u.wants() {
			return
		} else if mod == nil || mod.img == nil {
			t.Fatal("the first module is loaded, whatever its size")
		}
		r := u.initial(Registers{IP: vdso.start + 0x100, SP: 0x1000})
		if places, complete := u.walk(p, &r, &memory{base: 0x1000}, nil); complete || len(places) != 1 || places[0].mod != nil {
			t.Errorf("%+v", places)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := u.Stats(); s.ModuleRefusals != 1 || !strings.Contains(fmt.Sprint(u.LastError()), "budget") {
		t.Errorf("%+v, %v", s, u.LastError())
	}
	// In a walk of its own there is room.
	var mod *module
	err = u.patiently(pid, maxWork, func(p *process) { mod = u.moduleFor(p, find(p)) })
	if err != nil || mod == nil || mod.img == nil {
		t.Errorf("the next walk is refused, too: %v", err)
	}
}

// TestSparseFilesAreRefused stretches a section over a hole.
func TestSparseFilesAreRefused(t *testing.T) {
	data, err := os.ReadFile("/bin/true")
	if err != nil || len(data) > 1<<20 {
		t.Skip("no small program")
	}
	f, err := elf.NewFile(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "sparse")
	load := func() error {
		r, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		_, err = loadImage(r, imageOptions{arch: hostArchitecture()})
		return err
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	const size = 100 << 20
	for i, s := range f.Sections {
		if s.Name == ".eh_frame" {
			header := binary.LittleEndian.Uint64(data[40:]) + uint64(i)*64
			binary.LittleEndian.PutUint64(data[header+32:], size)
		}
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 2*size); err != nil {
		t.Fatal(err)
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("got %v", err)
	}
}
