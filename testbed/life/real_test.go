package life

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// TestNeighbours lets each come and go: they end in their time, and by
// themselves, and leave nothing.
func TestNeighbours(t *testing.T) {
	for _, h := range []Happening{{Kind: CPU, Factor: 2}, {Kind: Disk}, {Kind: Memory, Factor: 0.1}} {
		t.Run(string(h.Kind), func(t *testing.T) {
			for _, patience := range []time.Duration{time.Minute, 300 * time.Millisecond} {
				h.For = time.Second
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				start := time.Now()
				if err := neighbour(ctx, h); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
			}
			left, err := filepath.Glob("/proc/[0-9]*/cmdline")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range left {
				if line, _ := os.ReadFile(file); strings.Contains(string(line), "perfscope-neighbour-") {
					t.Errorf("still there: %q", line)
				}
			}
		})
	}
	if left, _ := filepath.Glob("/var/tmp/perfscope-neighbour-*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestHappenings lets everything happen to some real servers that can happen to
// them: it must come about, and they must answer after it. HAPPENINGS=all has it
// happen to all of them.
func TestHappenings(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the servers run under accounts of their own")
	}
	names := []string{"redis", "nginx", "postgres"}
	if os.Getenv("HAPPENINGS") == "all" {
		names = nil
	}
	members, err := OneOfEach(names)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		name := m.Name
		m.Portion, m.Exact = 0.02, false // once a second at least
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := start(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := in.stop(); err != nil {
					t.Error(err)
				}
			}()
			for _, kind := range kindsOf(name) {
				before := in.work.Server.PID()
				if err := in.happen(t.Context(), Happening{Kind: kind, Instance: name, For: time.Second, Factor: 2}); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				in.load.Take()
				if err := in.answers(t.Context()); err != nil {
					t.Fatalf("after %s: %v", kind, err)
				}
				restarted := in.work.Server.PID() != before
				if want := kind == Restart || kind == Rolling || kind == Deploy; restarted != want {
					t.Errorf("%s: another process: %t", kind, restarted)
				}
				o := in.work.Server.Options()
				if line := strings.Join(append(o.Args, o.Path), " "); kind == Deploy && !strings.Contains(line, "/release-") {
					t.Errorf("a release as %s", line)
				}
			}
			left, _ := filepath.Glob(filepath.Join(in.work.Server.Dir, "life.*"))
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	var u usage
	u.add(1, 5*time.Second) // had used this before
	u.add(1, 7*time.Second)
	u.add(2, time.Second) // was restarted
	u.add(2, 3*time.Second)
	if u.total != 5*time.Second {
		t.Errorf("%s", u.total)
	}
	table, err := proc.ReadTable()
	if err != nil {
		t.Fatal(err)
	}
	if table[os.Getpid()].Parent != os.Getppid() {
		t.Errorf("the table has %+v for this process", table[os.Getpid()])
	}
}
