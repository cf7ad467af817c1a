package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// child is a process with its parent, the faults of its children that have ended and the
// bytes it moved with them, of which its one thread moved some itself.
func (f files) child(pid int, name string, parent, childFaults int, bytes, own int64) {
	f.write(fmt.Sprintf("proc/%d/stat", pid), fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194304 98 %d 7 0 9 0 0 0 20 0 1 0 54879 3133440 414\n", pid, name, parent, childFaults))
	f.write(fmt.Sprintf("proc/%d/io", pid), fmt.Sprintf("rchar: 9\nread_bytes: %d\nwrite_bytes: 0\n", bytes))
	f.write(fmt.Sprintf("proc/%d/task/%d/io", pid, pid), fmt.Sprintf("read_bytes: %d\n", own))
}

// What a program moved that has ended is in the figures of who started it. It is told as its
// own, once, and not as another's that did as much itself.
func TestWhatEndedProgramsMovedIsTheirs(t *testing.T) {
	const mega = int64(1 << 20)
	for _, c := range []struct {
		name   string
		seen   int64 // of a child at the first look, which ends then
		next   int64 // of another one that lives at the second
		ended  int   // faults of ended children
		parent int64 // of the parent at the second look
		own    int64 // of that its own
		want   map[string]int64
	}{
		{"one that was seen", 50 * mega, 0, 100, 85 * mega, 5 * mega, map[string]int64{"dd": 30 * mega, "backup": 5 * mega}},
		{"one that was not, like one that lives", 0, 20 * mega, 100, 80 * mega, 0, map[string]int64{"dd": 100 * mega}},
		{"none like it was seen", 0, 0, 100, 80 * mega, 0, map[string]int64{"backup": 80 * mega}},
		{"no child has ended", 0, 20 * mega, 0, 80 * mega, 0, map[string]int64{"backup": 80 * mega, "dd": 20 * mega}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newHost(t, true)
			f.groups(true, "0", "0")
			r := New(filepath.Join(f.root, "proc"))
			r.sockets = func() []socket { return nil }
			shop := []Service{{Key: "k", Name: "shop", Processes: []int32{10}}}
			f.child(20, "backup", 1, 0, 0, 0)
			if c.seen > 0 {
				f.child(21, "dd", 20, 0, c.seen, c.seen)
			}
			r.Read(0, 1e9, shop)
			if err := os.RemoveAll(filepath.Join(f.root, "proc/21")); err != nil {
				t.Fatal(err)
			}
			f.child(20, "backup", 1, c.ended, c.parent, c.own)
			if c.next > 0 {
				f.child(22, "dd", 20, 0, c.next, c.next)
			}
			got := map[string]int64{}
			for _, u := range r.Read(1e9, 6e9, shop)[0].Users {
				if u.Of == threadtrace.MeasureDiskBytes {
					got[u.Name] = u.Value
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
