package signature

import (
	"strings"
	"testing"
)

func TestProgramOf(t *testing.T) {
	redis := map[string]string{
		"process.executable.path": "/usr/bin/redis-check-rdb", "process.executable.build_id.gnu": "60f4", "host.arch": arch, "service.name": "cache",
	}
	get := func(m map[string]string) Program { return ProgramOf(func(key string) string { return m[key] }) }
	if got, want := get(redis), (Program{Executable: "/usr/bin/redis-check-rdb", BuildIDKind: "gnu", BuildID: "60f4", Arch: arch}); got != want {
		t.Errorf("%+v", got)
	}
	redis["process.runtime.name"] = "go"
	if got := get(redis); got.Service != "" {
		t.Errorf("a Go program is of service %q", got.Service)
	}
	redis["process.runtime.name"] = "jvm"
	if got := get(redis); got.Service != "cache" || got.FileName() != "cache-redis-check-rdb-60f4.signatures" {
		t.Errorf("%+v, %s", got, got.FileName())
	}
}

func TestFits(t *testing.T) {
	of := Program{Executable: "/usr/bin/server", BuildIDKind: "gnu", BuildID: "60f4", Arch: arch}
	moved := of
	moved.Executable = "/opt/server"
	if err := of.Fits(moved); err != nil || !of.Same(moved) {
		t.Errorf("the same build elsewhere: %v", err)
	}
	for want, change := range map[string]func(*Program){
		`they are of build gnu "60f4", and /usr/bin/server runs as build gnu "beef": extract`: func(p *Program) { p.BuildID = "beef" },
		`they are of architecture "amd64", and this machine is "arm64"`:                       func(p *Program) { p.Arch = "arm64" },
		"has no build id": func(p *Program) { p.BuildID = "" },
		`they are of service "", and this is service "orders"`: func(p *Program) { p.Service = "orders" },
	} {
		running := of
		change(&running)
		if err := of.Fits(running); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}

func TestFileNames(t *testing.T) {
	for want, p := range map[string]Program{
		"redis-server-60f4a1b2c3d4e5f6.signatures": {Executable: "/usr/bin/redis-server", BuildID: "60f4a1b2c3d4e5f60718"},
		"server-aSd_x_-.signatures":                {Executable: "/srv/server", BuildID: "aSd/x/-"},
		"etc_passwd-_.signatures":                  {Executable: "/x/..etc\x00passwd", BuildID: "/"},
	} {
		if got := p.FileName(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
