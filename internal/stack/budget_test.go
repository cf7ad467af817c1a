//go:build linux

package stack

import (
	"debug/elf"
	"encoding/binary"
	"errors"
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
		mod := u.program(p)
		if mod == nil || u.wants() {
			return
		}
		if img := u.tables(p, p.program(), mod); u.wants() {
			return
		} else if img == nil {
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
	if err != nil || mod == nil || !mod.read {
		t.Errorf("the next walk is refused, too: %v", err)
	}
}

// TestWhatIsKnownOutlastsTheTables walks the same stack again once the tables it was
// walked with have been dropped: nothing is read for it. An address that is new has them
// read again, as long as there is time for that.
func TestWhatIsKnownOutlastsTheTables(t *testing.T) {
	now := time.Unix(1e9, 0)
	u := NewUnwinder(Options{Now: func() time.Time { return now }})
	code := uint64(reflect.ValueOf(TestSparseFilesAreRefused).Pointer())
	function := func(offset uint64) string {
		t.Helper()
		for _, mod := range u.modules {
			mod.img = nil
		}
		st, err := u.Unwind(int32(os.Getpid()), Registers{IP: code + offset, SP: 0x1000}, Copy{})
		if errors.Is(err, ErrDeferred) {
			return "deferred"
		}
		if err != nil {
			t.Fatal(err)
		}
		return st.Frames[0].Function
	}
	first := function(1)
	loads := u.Stats().ModuleLoads
	if again := function(1); !strings.HasSuffix(first, ".TestSparseFilesAreRefused") || again != first || loads == 0 || u.Stats().ModuleLoads != loads {
		t.Errorf("%s after %d loads, then %s after %d", first, loads, again, u.Stats().ModuleLoads)
	}
	if other := function(2); other != first || u.Stats().ModuleLoads != loads+1 || u.rereads.spent <= 0 {
		t.Errorf("of what is met for the first time %s is known after %d loads, which cost %v", other, u.Stats().ModuleLoads, u.rereads.spent)
	}
	u.rereads.spent = rereadBurst + time.Second
	if none := function(3); none != "deferred" || u.Stats().ModuleDeferrals == 0 || u.Stats().ModuleLoads != loads+1 {
		t.Errorf("%s is known without time to read", none)
	}
	if again := function(1); again != first {
		t.Errorf("what was known is %s without time to read", again)
	}
	now = now.Add(time.Duration(float64(time.Second) / rereadShare))
	if other := function(3); other != first || u.Stats().ModuleLoads != loads+2 {
		t.Errorf("with time to read again it is %s", other)
	}
}

// TestWhatIsUsedLeastGoesFirst has room for one of two modules: an image that nothing
// new was looked up in goes before one that was, and sites go in their turn.
func TestWhatIsUsedLeastGoesFirst(t *testing.T) {
	const size = 1 << 20
	u := NewUnwinder(Options{MaxModuleBytes: size + 10*siteSize})
	made := func(name string, consulted, used uint64, sites int) *module {
		mod := &module{key: moduleKey{name: name}, read: true, img: &image{size: size}, consulted: consulted, used: used, sites: map[uint64]*site{}}
		for i := range sites {
			mod.sites[uint64(i)] = &site{}
		}
		u.modules[mod.key] = mod
		return mod
	}
	u.walkStart = 100
	hot, busy := made("all of it is known", 10, 99, 6), made("something is new now and then", 50, 60, 4)
	u.shrinkModules(nil)
	if hot.img != nil || len(hot.sites) != 6 || busy.img == nil || len(busy.sites) != 4 {
		t.Errorf("%v with %d sites and %v with %d", hot.img, len(hot.sites), busy.img, len(busy.sites))
	}
	if s := u.Stats(); s.ModuleEvictions != 1 || s.ModuleBytes != size+10*siteSize || s.Modules != 1 {
		t.Errorf("%+v", s)
	}
	u.opts.MaxModuleBytes = 6 * siteSize
	u.shrinkModules(nil)
	if busy.img != nil || len(busy.sites) != 0 || len(hot.sites) != 6 {
		t.Errorf("%d sites of what is used are left, and %d of what is used less", len(hot.sites), len(busy.sites))
	}
	hot.used = 100 // by the walk under way
	u.opts.MaxModuleBytes = 1
	if u.shrinkModules(nil); len(hot.sites) != 6 {
		t.Error("the walk under way loses what it uses")
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
