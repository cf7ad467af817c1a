package process

import (
	"testing"
	"time"
)

func claiming(pid int, ticks uint64, name, instance string) fakeProcess {
	return fakeProcess{pid: pid, ticks: ticks, exe: "/bin/server", environ: []string{
		"OTEL_SERVICE_NAME=" + name, "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=" + instance,
	}}
}

func instanceOf(t *testing.T, d *Discoverer, pid int32) string {
	t.Helper()
	p := d.Process(pid)
	if p == nil {
		t.Fatalf("process %d is not a target", pid)
	}
	return p.InstanceID
}

// TestAClaimedInstanceIsOneFamilys has three processes claim one id.
func TestAClaimedInstanceIsOneFamilys(t *testing.T) {
	proc := newFakeProc(t)
	proc.add(claiming(10, 100, "pay", "pay-1"))
	child := claiming(11, 110, "pay", "pay-1")
	child.parent = 10
	proc.add(child)
	proc.add(claiming(20, 200, "pay", "pay-1"))
	proc.add(claiming(30, 300, "cart", "pay-1"))
	d := discover(t, proc, Config{Children: true, Targets: []Rule{{OTelServiceName: "*"}}})
	scan(t, d)
	if a, b := instanceOf(t, d, 10), instanceOf(t, d, 11); a != "pay-1" || b != "pay-1" {
		t.Errorf("its own family has %q and %q", a, b)
	}
	if id := instanceOf(t, d, 20); id == "pay-1" {
		t.Error("another process of the name has it, too")
	}
	if id := instanceOf(t, d, 30); id != "pay-1" {
		t.Errorf("of another service, where it is nobody's, it became %q", id)
	}
	for range 2 * oldEvery {
		if ch := scan(t, d); len(ch.Started)+len(ch.Ended)+ch.Claims != 0 {
			t.Fatalf("it goes back and forth: %+v", ch)
		}
	}
	// It is free when the last of the family has ended; who goes by another
	// stays that.
	was := instanceOf(t, d, 20)
	proc.remove(10)
	scan(t, d)
	proc.add(claiming(40, 400, "pay", "pay-1"))
	scan(t, d)
	if id := instanceOf(t, d, 40); id == "pay-1" {
		t.Error("the child still has it")
	}
	proc.remove(11)
	scan(t, d)
	proc.add(claiming(50, 500, "pay", "pay-1"))
	scan(t, d)
	if a, b := instanceOf(t, d, 20), instanceOf(t, d, 50); a != was || b != "pay-1" {
		t.Errorf("%q became %q, the new one is %q", was, a, b)
	}
}

// TestANotClaimedInstanceIsNobodysToClaim has ids that others would have guessed.
func TestANotClaimedInstanceIsNobodysToClaim(t *testing.T) {
	proc := newFakeProc(t)
	d := discover(t, proc, Config{Targets: []Rule{{Executable: "server"}}})
	guess := instanceID(d.host.ID, d.boot, 50, 500)
	proc.add(claiming(10, 100, "server", guess))
	scan(t, d)
	if id := instanceOf(t, d, 10); id != guess {
		t.Fatalf("a claim of nobody's became %q", id)
	}
	proc.add(fakeProcess{pid: 50, ticks: 500, exe: "/bin/server"})
	proc.add(claiming(60, 600, "other", guess))
	if ch := scan(t, d); ch.Claims != 2 {
		t.Errorf("%d claims counted", ch.Claims)
	}
	if id := instanceOf(t, d, 50); id != guess {
		t.Errorf("it has %q", id)
	}
	for _, pid := range []int32{10, 60} {
		if id := instanceOf(t, d, pid); id == guess {
			t.Errorf("process %d has it, too", pid)
		}
	}
	if len(d.held) != 6 {
		t.Errorf("%d ids are held of three processes", len(d.held))
	}
	for _, pid := range []int{10, 50, 60} {
		proc.remove(pid)
	}
	if scan(t, d); len(d.held) != 0 {
		t.Errorf("%d ids are held of none", len(d.held))
	}
}

// TestAPidUsedAgainIsAnother: a notice of the end comes after the next process
// has the pid, in the same tick of the clock.
func TestAPidUsedAgainIsAnother(t *testing.T) {
	proc := newFakeProc(t)
	proc.add(fakeProcess{pid: 70, ticks: 700, exe: "/bin/server", environ: []string{"OTEL_SERVICE_NAME=a"}})
	d := discover(t, proc, Config{Targets: []Rule{{OTelServiceName: "*"}}})
	now := time.Unix(1700000000, 0)
	d.now = func() time.Time { return now }
	for range 3 * youngScans {
		scan(t, d)
	}
	a := d.Process(70)
	over := now.Add(time.Millisecond)
	now = now.Add(2 * time.Millisecond)
	proc.add(fakeProcess{pid: 70, ticks: 700, exe: "/bin/server", environ: []string{"OTEL_SERVICE_NAME=b"}})
	if ch := d.Exited(70, over); len(ch.Ended) != 1 || ch.Ended[0] != a {
		t.Fatalf("%+v", ch)
	}
	scan(t, d)
	if b := d.Process(70); b == nil || b.ServiceName != "b" || !b.Found.After(over) {
		t.Fatalf("%+v", b)
	}
	if ch := d.Exited(70, over); len(ch.Ended) != 0 {
		t.Error("the next one was taken for the one that has ended")
	}
	// Without a notice the next scan sees it, however old the process is.
	for range 3 * youngScans {
		scan(t, d)
	}
	proc.add(fakeProcess{pid: 70, ticks: 701, exe: "/bin/server", environ: []string{"OTEL_SERVICE_NAME=c"}})
	if d.Still(d.Process(70)) {
		t.Error("it is said to be the same")
	}
	if ch := scan(t, d); len(ch.Ended) != 1 || d.Process(70).ServiceName != "c" {
		t.Errorf("%+v", ch)
	}
}

// FuzzIdentities: whatever its environment says, a service's name can be shown.
func FuzzIdentities(f *testing.F) {
	f.Add([]byte("OTEL_SERVICE_NAME=a\x1b[31m\x00OTEL_RESOURCE_ATTRIBUTES=service.instance.id=%1b%c2%9b,service.namespace=\u202e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := parseEnvironment(data)
		for _, s := range []string{e.ServiceName, e.Namespace, e.Instance} {
			if len(s) > 255 {
				t.Fatalf("%d bytes", len(s))
			}
			for _, r := range s {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
					t.Fatalf("%q", s)
				}
			}
		}
		c := parseCgroup(data)
		for _, p := range append(c.Paths, c.Line) {
			if len(p) > 4096 {
				t.Fatalf("a path of %d bytes", len(p))
			}
		}
	})
}
