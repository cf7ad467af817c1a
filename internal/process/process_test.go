package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const container = "4f1c2b7ad3e94f1c2b7ad3e94f1c2b7ad3e94f1c2b7ad3e94f1c2b7ad3e9abcd"

func discover(t *testing.T, p *fakeProc, cfg Config) *Discoverer {
	t.Helper()
	cfg.Root, cfg.Host = p.root, &Host{ID: "3d1219c7c4c5404aaa1f6d2a48adfda4", Name: "web-1"}
	if cfg.Self == 0 {
		cfg.Self = 4999
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func scan(t *testing.T, d *Discoverer) Changes {
	t.Helper()
	ch, err := d.Scan()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func pids(list []*Process) []int32 {
	var out []int32
	for _, p := range list {
		out = append(out, p.PID)
	}
	slices.Sort(out)
	return out
}

func TestRules(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 2, comm: "kthreadd", flags: kernelThread})
	p.add(fakeProcess{
		pid: 100, parent: 1, exe: "/usr/bin/redis-server (deleted)", cmdline: []string{"/usr/bin/redis-server", "127.0.0.1:6379"},
		cgroup: "0::/system.slice/redis-server.service\n", sockets: []int{7003, 7001},
	})
	p.add(fakeProcess{
		pid: 200, parent: 1, exe: "/opt/shop/bin/cart", environ: []string{"PATH=/bin", "OTEL_SERVICE_NAME=shop-cart"},
		cgroup: "0::/system.slice/docker-" + container + ".scope\n", sockets: []int{7002},
	})
	p.add(fakeProcess{pid: 300, parent: 1, exe: "/usr/bin/python3.11", cmdline: []string{"python3", "-m", "worker", "--queue", "mail"}})
	// Other namespaces have other sockets: the same inode is none of ours.
	p.add(fakeProcess{pid: 400, parent: 1, exe: "/usr/bin/redis-server", netns: 9})
	p.add(fakeProcess{pid: 500, parent: 1, exe: "/usr/bin/redis-server", state: "Z"})

	tests := []struct {
		name string
		rule Rule
		want []int32
	}{
		{"executable", Rule{Executable: "/usr/bin/redis-server"}, []int32{100, 400}},
		{"executable glob", Rule{Executable: "/opt/*/bin/*"}, []int32{200}},
		{"executable glob stays in its directory", Rule{Executable: "/opt/*"}, nil},
		{"executable glob across directories", Rule{Executable: "/opt/**"}, []int32{200}},
		{"executable base name", Rule{Executable: "python3*"}, []int32{300}},
		{"executable of any version", Rule{Executable: "python"}, []int32{300}},
		{"executable of a major version", Rule{Executable: "python3"}, []int32{300}},
		{"executable of another version", Rule{Executable: "python3.12"}, nil},
		{"a path has its version", Rule{Executable: "/usr/bin/python3"}, nil},
		{"executable class", Rule{Executable: "redis-[a-z]erver"}, []int32{100, 400}},
		{"command", Rule{Command: `-m worker\b.*mail$`}, []int32{300}},
		{"pid", Rule{PID: 300}, []int32{300}},
		{"cgroup", Rule{Cgroup: "/system.slice/*"}, []int32{100, 200}},
		{"container id", Rule{ContainerID: "4f1c2b7ad3e9"}, []int32{200}},
		{"systemd unit", Rule{SystemdUnit: "redis-server"}, []int32{100}},
		{"systemd unit glob", Rule{SystemdUnit: "redis*.service"}, []int32{100}},
		{"port", Rule{Port: 6379}, []int32{100}},
		{"port 8080", Rule{Port: 8080}, []int32{200}},
		{"OTEL_SERVICE_NAME", Rule{OTelServiceName: "shop-*"}, []int32{200}},
		{"all fields must hold", Rule{Executable: "redis-server", Port: 6379}, []int32{100}},
		{"one field does not hold", Rule{Executable: "redis-server", Port: 8080}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := discover(t, p, Config{Targets: []Rule{tt.rule}})
			if got := pids(scan(t, d).Started); !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNamesOfAnyVersion(t *testing.T) {
	for name, want := range map[string][]string{
		"php-fpm8.2": {"php-fpm8.2", "php-fpm8", "php-fpm"}, "ruby3.1": {"ruby3.1", "ruby3", "ruby"},
		"python3.11.2": {"python3.11.2", "python3", "python"},
		"bzip2":        {"bzip2"}, "beam.smp": {"beam.smp"}, "7.0": {"7.0"}, "a.out": {"a.out"}, "server.": {"server."}, "": {""},
	} {
		if got := withoutVersion(name); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

// A program that has written its title over its environment has the one it was
// started with: that of the process that started it.
func TestAnErasedEnvironmentIsThatOfTheParent(t *testing.T) {
	p := newFakeProc(t)
	title := []string{"starman master -l :5000", "", ""}
	p.add(fakeProcess{pid: 10, parent: 1, exe: "/bin/sh", environ: []string{"HOME=/", "OTEL_SERVICE_NAME=shop"}})
	p.add(fakeProcess{pid: 11, parent: 10, exe: "/usr/bin/perl", environ: title})
	p.add(fakeProcess{pid: 12, parent: 11, exe: "/usr/bin/perl", environ: title})
	// What is left of it counts before another's.
	p.add(fakeProcess{pid: 13, parent: 10, exe: "/usr/bin/perl", environ: append(title, "OTEL_SERVICE_NAME=mail")})
	// It has one, in which no service is named: the parent's is none of its business.
	p.add(fakeProcess{pid: 14, parent: 10, exe: "/usr/bin/perl", environ: []string{"HOME=/"}})
	// Nobody above has one.
	p.add(fakeProcess{pid: 16, parent: 1, exe: "/usr/bin/perl", environ: title})
	d := discover(t, p, Config{Targets: []Rule{{OTelServiceName: "*"}}})
	got := map[int32]string{}
	for _, proc := range scan(t, d).Started {
		got[proc.PID] = proc.ServiceName
	}
	if want := map[int32]string{10: "shop", 11: "shop", 12: "shop", 13: "mail"}; !maps.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestRuleErrors(t *testing.T) {
	for want, r := range map[string]Rule{
		"set at least one of executable": {ServiceName: "x"},
		`command: "("`:                   {Command: "("},
		"executable: \"/a/[b\"":          {Executable: "/a/[b"},
		"pid: must be positive":          {PID: -1},
		"container_id: must be 6 to 64":  {ContainerID: "XYZ"},
	} {
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := New(Config{Root: newFakeProc(t).root, Targets: []Rule{{}}}); err == nil || !strings.Contains(err.Error(), "targets[0]") {
		t.Errorf("error %v does not name the rule", err)
	}
	if _, err := New(Config{Root: t.TempDir()}); err == nil {
		t.Error("no error without a boot time")
	}
}

func TestOrderExcludeAndName(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 10, exe: "/usr/bin/a", environ: []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=from%20attributes,service.namespace=shop,service.instance.id=i-1"}})
	p.add(fakeProcess{pid: 11, exe: "/usr/bin/a", environ: []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=x", "OTEL_SERVICE_NAME=from-name"}})
	p.add(fakeProcess{pid: 12, exe: "/usr/bin/b"})
	p.add(fakeProcess{pid: 13, exe: "/usr/bin/b", cmdline: []string{"b", "--secret"}})
	p.add(fakeProcess{pid: 14, exe: "/usr/bin/c"})
	d := discover(t, p, Config{
		Self:    14,
		Targets: []Rule{{Executable: "b", ServiceName: "override"}, {Executable: "*"}},
		Exclude: []Rule{{Command: "--secret"}},
	})
	got := map[int32]*Process{}
	for _, proc := range scan(t, d).Started {
		got[proc.PID] = proc
	}
	for pid, want := range map[int32]string{10: "from attributes", 11: "from-name", 12: "override"} {
		if got[pid] == nil || got[pid].ServiceName != want {
			t.Errorf("process %d is %+v, want service %q", pid, got[pid], want)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d targets, want 3: neither the excluded one nor the collector", len(got))
	}
	if got[10].InstanceID != "i-1" || got[10].ServiceNamespace != "shop" {
		t.Errorf("identity of the environment not taken: %+v", got[10])
	}
	if want := time.Unix(1700000001, 0); !got[10].Created.Equal(want) {
		t.Errorf("created %v, want %v", got[10].Created, want)
	}
}

func TestChildrenShareTheInstance(t *testing.T) {
	nginx := func(pid, parent int) fakeProcess {
		return fakeProcess{pid: pid, parent: parent, exe: "/usr/sbin/nginx", cmdline: []string{"nginx: process " + strconv.Itoa(pid)}}
	}
	for name, rule := range map[string]Rule{
		"by executable": {Executable: "nginx"},            // names the workers too
		"by command":    {Command: `nginx: process 900$`}, // names the master only
	} {
		t.Run(name, func(t *testing.T) {
			p := newFakeProc(t)
			p.add(nginx(900, 1))
			p.add(nginx(50, 900)) // pids wrapped: found before its parent
			p.add(nginx(901, 900))
			p.add(fakeProcess{pid: 902, parent: 900, exe: "/bin/sh"})
			d := discover(t, p, Config{Targets: []Rule{rule}, Children: true})
			found := scan(t, d).Started
			if got := pids(found); !slices.Equal(got, []int32{50, 900, 901}) {
				t.Fatalf("found %v", got)
			}
			for _, proc := range found {
				if proc.Root != 900 || proc.InstanceID != found[0].InstanceID {
					t.Errorf("%d is instance %s of root %d", proc.PID, proc.InstanceID, proc.Root)
				}
			}
			// The master dies: its workers stay what they were.
			p.remove(900)
			p.add(nginx(50, 1))
			p.add(nginx(901, 1))
			for range 20 {
				ch := scan(t, d)
				if len(ch.Started) > 0 {
					t.Fatalf("workers became something else: %+v", ch.Started[0])
				}
			}
			if got := pids(d.Processes()); !slices.Equal(got, []int32{50, 901}) {
				t.Errorf("left with %v", got)
			}
		})
	}
	p := newFakeProc(t)
	p.add(nginx(900, 1))
	p.add(nginx(901, 900))
	d := discover(t, p, Config{Targets: []Rule{{PID: 900}}})
	if got := pids(scan(t, d).Started); !slices.Equal(got, []int32{900}) {
		t.Errorf("followed %v without being told to", got)
	}
}

// TestProgramsOfOneService: a master that starts another program for each session
// is one instance with them, as far as the rules give them one name.
func TestProgramsOfOneService(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 80, exe: "/usr/sbin/dovecot"})
	p.add(fakeProcess{pid: 81, parent: 80, exe: "/usr/lib/dovecot/imap"})
	p.add(fakeProcess{pid: 82, parent: 81, exe: "/usr/lib/dovecot/indexer"})
	p.add(fakeProcess{pid: 83, parent: 80, exe: "/usr/lib/dovecot/auth", environ: []string{"OTEL_RESOURCE_ATTRIBUTES=service.namespace=other"}})
	p.add(fakeProcess{pid: 84, parent: 80, exe: "/usr/sbin/sieve"})
	p.add(fakeProcess{pid: 85, parent: 80, exe: "/bin/sh"})
	d := discover(t, p, Config{Children: true, Targets: []Rule{
		{Executable: "dovecot"}, {Executable: "/usr/lib/dovecot/*", ServiceName: "dovecot"}, {Executable: "sieve"},
	}})
	roots := map[int32]int32{}
	for _, proc := range scan(t, d).Started {
		roots[proc.PID] = proc.Root
	}
	if want := (map[int32]int32{80: 80, 81: 80, 82: 80, 83: 83, 84: 84}); !maps.Equal(roots, want) {
		t.Errorf("roots %v, want %v", roots, want)
	}
}

func TestStartedByALink(t *testing.T) {
	p := newFakeProc(t)
	// The target's root and its executable, as /proc shows them.
	file := filepath.Join(p.root, "60/root/usr/bin/redis-check-rdb")
	p.write("60/root/usr/bin/redis-check-rdb", "program")
	p.link("60/root/usr/bin/redis-server", "redis-check-rdb")
	p.write("60/root/usr/bin/liar", "another program")
	for command, want := range map[string]string{
		"/usr/bin/redis-server 127.0.0.1:6379": "redis-server",
		"redis-server *:7000":                  "redis-server",
		"/usr/bin/liar":                        "redis-check-rdb",
		"/usr/bin/missing":                     "redis-check-rdb",
		"":                                     "redis-check-rdb",
	} {
		// SameFile needs a real file: the link's text is not what the
		// kernel would say, but its base name is.
		p.add(fakeProcess{pid: 60, exe: file, cmdline: []string{command}})
		if command == "redis-server *:7000" {
			beside := filepath.Join(p.root, "60/root", filepath.Dir(file), "redis-server")
			if err := errors.Join(os.MkdirAll(filepath.Dir(beside), 0o755), os.Link(file, beside)); err != nil {
				t.Fatal(err)
			}
		}
		d := discover(t, p, Config{Targets: []Rule{{Executable: want}}})
		found := scan(t, d).Started
		if len(found) != 1 || found[0].ExecutableName != want || found[0].ServiceName != want {
			t.Errorf("%q: found %+v, want %s", command, found, want)
		}
	}
}

func TestStartExecExit(t *testing.T) {
	p := newFakeProc(t)
	d := discover(t, p, Config{Targets: []Rule{{Executable: "server"}}, Children: true})
	scan(t, d)
	p.add(fakeProcess{pid: 70, exe: "/bin/sh"})
	if ch := scan(t, d); len(ch.Started) != 0 {
		t.Fatal("the shell is no target")
	}
	p.add(fakeProcess{pid: 70, exe: "/bin/server"})
	if ch := d.Execed(70); len(ch.Started) != 1 {
		t.Fatal("exec not noticed")
	}
	first := d.Processes()[0]
	p.add(fakeProcess{pid: 71, parent: 70, exe: "/bin/server"})
	if ch := d.Forked(71); len(ch.Started) != 1 || ch.Started[0].InstanceID != first.InstanceID {
		t.Fatalf("fork gave %+v", ch)
	}
	p.add(fakeProcess{pid: 71, parent: 70, exe: "/bin/ls"})
	if ch := d.Execed(71); len(ch.Ended) != 1 || len(ch.Started) != 0 {
		t.Fatalf("the child runs another program now: %+v", ch)
	}
	// The pid is given to another process of the same program.
	p.add(fakeProcess{pid: 70, exe: "/bin/server", ticks: 99999})
	ch := scan(t, d)
	if len(ch.Ended) != 1 || len(ch.Started) != 1 || ch.Started[0].InstanceID == first.InstanceID {
		t.Fatalf("reuse of a pid gave %+v", ch)
	}
	if ch := d.Exited(70, time.Now()); len(ch.Ended) != 1 {
		t.Fatal("exit not noticed")
	}
	if ch := d.Exited(70, time.Now()); len(ch.Ended) != 0 {
		t.Fatal("ended twice")
	}
	p.remove(70)
	p.remove(71)
	scan(t, d)
	if len(d.seen) != 0 || d.count != 0 {
		t.Errorf("left behind: %d entries, count %d", len(d.seen), d.count)
	}
}

func TestOldProcessesAreLookedAtAgain(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 80, exe: "/bin/server"})
	d := discover(t, p, Config{Targets: []Rule{{Port: 6379}}})
	for range 3 * youngScans {
		scan(t, d)
	}
	p.link("80/fd/9", "socket:[7001]")
	for range oldEvery {
		if len(scan(t, d).Started) == 1 {
			return
		}
	}
	t.Errorf("a listener opened late was not seen within %d scans", oldEvery)
}

func TestListeningSockets(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 80, exe: "/bin/server", sockets: []int{7002, 7001, 7003}})
	d := discover(t, p, Config{Targets: []Rule{{Executable: "server"}}})
	scan(t, d)
	first := d.Process(80)
	if got := fmt.Sprint(first.Listening); got != "[0.0.0.0:8080 127.0.0.1:6379]" {
		t.Errorf("it listens on %s", got)
	}
	if err := os.Remove(filepath.Join(p.root, "80/fd/3")); err != nil {
		t.Fatal(err)
	}
	if ch := scan(t, d); len(ch.Started)+len(ch.Ended) != 0 {
		t.Errorf("it is the same process: %+v", ch)
	}
	if now := d.Process(80); now == first || len(now.Listening) != 1 || len(first.Listening) != 2 {
		t.Errorf("now it listens on %v, before on %v", now.Listening, first.Listening)
	}
}

func TestBoundedProcesses(t *testing.T) {
	p := newFakeProc(t)
	for pid := 10; pid < 20; pid++ {
		p.add(fakeProcess{pid: pid, exe: "/bin/server"})
	}
	d := discover(t, p, Config{Targets: []Rule{{Executable: "server"}}, MaxProcesses: 4})
	ch := scan(t, d)
	if len(ch.Started) != 4 || ch.Skipped != 6 {
		t.Errorf("started %d, skipped %d", len(ch.Started), ch.Skipped)
	}
	p.remove(10)
	if ch := scan(t, d); len(ch.Started) != 1 || ch.Skipped != 5 {
		t.Errorf("after one ended: started %d, skipped %d", len(ch.Started), ch.Skipped)
	}
}

func TestNote(t *testing.T) {
	f := &facts{}
	f.note(os.ErrNotExist)
	if f.refused != nil {
		t.Error("a process that ended is no missing permission")
	}
	f.note(&os.PathError{Op: "readlink", Err: os.ErrPermission})
	if !errors.Is(f.refused, os.ErrPermission) {
		t.Error("a missing permission must be told")
	}
}

func TestInstanceID(t *testing.T) {
	id := instanceID("host", "boot", 7, 100)
	if id != instanceID("host", "boot", 7, 100) {
		t.Error("not deterministic")
	}
	if len(id) != 36 || id[14] != '5' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s is no version 5 UUID", id)
	}
	for _, other := range []string{instanceID("h", "boot", 7, 100), instanceID("host", "b", 7, 100), instanceID("host", "boot", 8, 100), instanceID("host", "boot", 7, 101)} {
		if other == id {
			t.Error("different processes share an id")
		}
	}
}

func TestThreadNames(t *testing.T) {
	p := newFakeProc(t)
	p.add(fakeProcess{pid: 5, exe: "/bin/server"})
	p.write("5/task/6/comm", "bio_aof\n")
	names := NewThreadNames(p.root)
	now := time.Unix(0, 0)
	names.now = func() time.Time { return now }
	if got := names.Name(5, 6); got != "bio_aof" {
		t.Errorf("name %q", got)
	}
	if got := names.CountThreads(5); got != 3 {
		t.Errorf("%d threads", got)
	}
	p.write("5/task/6/comm", "renamed\n")
	if got := names.Name(5, 6); got != "bio_aof" {
		t.Errorf("name %q read again at once", got)
	}
	now = now.Add(threadNameAge)
	if got := names.Name(5, 6); got != "renamed" {
		t.Errorf("name %q", got)
	}
	p.remove(5)
	now = now.Add(threadNameAge)
	if got := names.Name(5, 6); got != "renamed" {
		t.Errorf("the name of an ended thread is %q", got)
	}
	for tid := range int32(maxThreadNames + 10) {
		names.Put(8, tid, "x")
	}
	if names.Len() > maxThreadNames {
		t.Errorf("%d names held", names.Len())
	}
	names.Forget(8)
	if names.Len() > 1 {
		t.Errorf("%d names left", names.Len())
	}
}

// TestThisHost compares the parsers with the real /proc.
func TestThisHost(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	d, err := New(Config{Self: 1, Targets: []Rule{{PID: int32(os.Getpid())}}})
	if err != nil {
		t.Fatal(err)
	}
	found := scan(t, d).Started
	if len(found) != 1 {
		t.Fatalf("found %d", len(found))
	}
	exe, _ := os.Executable()
	if age := time.Since(found[0].Created); found[0].Executable != exe || age < -2*time.Second || age > 10*time.Minute {
		t.Errorf("%+v, age %v", found[0], age)
	}
}
