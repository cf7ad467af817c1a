package process

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCompatProgramsAreRefused has a 32-bit program beside others.
func TestCompatProgramsAreRefused(t *testing.T) {
	proc := newFakeProc(t)
	dir := t.TempDir()
	program := func(pid int, name, head string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
			t.Fatal(err)
		}
		proc.add(fakeProcess{pid: pid, exe: path})
		return path
	}
	old := program(10, "old", "\x7fELF\x01\x01\x01")
	program(11, "old", "\x7fELF\x01\x01\x01")
	program(20, "new", "\x7fELF\x02\x01\x01")
	program(30, "odd", "#!")
	proc.add(fakeProcess{pid: 40, exe: filepath.Join(dir, "gone")})
	d, err := New(Config{Root: proc.root, Targets: []Rule{{Executable: dir + "/*"}}, Host: &Host{}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		ch, err := d.Scan()
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{old}[:max(1-i, 0)]; !slices.Equal(ch.Compat, want) {
			t.Errorf("scan %d reported %v", i, ch.Compat)
		}
	}
	var pids []int32
	for _, p := range d.Processes() {
		pids = append(pids, p.PID)
	}
	if !slices.Equal(pids, []int32{20, 30, 40}) {
		t.Errorf("%v are followed", pids)
	}
}
