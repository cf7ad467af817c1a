package process

import (
	"bytes"
	"maps"
	"net/netip"
	"strings"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	pod := "0c1f4f5e-7c0a-4f65-8a59-5cf3f3f2a111"
	tests := []struct {
		name, in                      string
		line, container, podUID, unit string
	}{
		{"docker, systemd driver", "0::/system.slice/docker-" + container + ".scope\n", "0::/system.slice/docker-" + container + ".scope", container, "", ""},
		{"docker, cgroupfs driver", "0::/docker/" + container + "\n", "0::/docker/" + container, container, "", ""},
		{
			"containerd in a pod",
			"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(pod, "-", "_") + ".slice/cri-containerd-" + container + ".scope\n",
			"", container, pod, "",
		},
		{"pod, cgroupfs driver", "0::/kubepods/besteffort/pod" + pod + "/" + container + "\n", "", container, pod, ""},
		{"cri-o", "0::/kubepods.slice/kubepods-pod" + strings.ReplaceAll(pod, "-", "_") + ".slice/crio-" + container + ".scope\n", "", container, pod, ""},
		{"cri-o's monitor is outside", "0::/kubepods.slice/crio-conmon-" + container + ".scope\n", "", "", "", "crio-conmon-" + container + ".scope"},
		{"podman", "0::/machine.slice/libpod-" + container + ".scope/container\n", "", container, "", ""},
		{"ecs", "0::/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890\n", "", "0123456789abcdef0123456789abcdef-1234567890", "", ""},
		{"systemd", "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n", "", "", "", "postgresql@15-main.service"},
		{"user unit", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", "", "", "", "x.service"},
		{"session", "0::/user.slice/user-1000.slice/session-3.scope\n", "", "", "", "session-3.scope"},
		{"version 1", "12:cpu,cpuacct:/docker/" + container + "\n1:name=systemd:/docker/" + container + "\n0::/\n", "1:name=systemd:/docker/" + container, container, "", ""},
		{"nothing", "0::/\n", "0::/", "", "", ""},
		{"broken", "0\n:::\nx:y", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := parseCgroup([]byte(tt.in))
			if tt.line == "" && tt.name != "broken" {
				tt.line = strings.TrimSuffix(tt.in, "\n")
			}
			if c.Line != tt.line || c.ContainerID != tt.container || c.PodUID != tt.podUID || c.Unit != tt.unit {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a (b) c) R 7 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 12345 1000 10"
	st, err := parseStat([]byte(line))
	if err != nil || st != (stat{Comm: "a (b) c", State: 'R', Parent: 7, Flags: 4194304, Ticks: 12345}) {
		t.Errorf("%+v, %v", st, err)
	}
	if n := parseThreadCount([]byte(line)); n != 9 {
		t.Errorf("%d threads", n)
	}
	for _, bad := range []string{"", "42", "42 (x", ") (", "42 (x) R", strings.Replace(line, " 7 1", " x 1", 1), strings.Replace(line, "12345", "-1", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestParseListening(t *testing.T) {
	v6 := "   0: 00000000000000000000000001000000:18EB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 8001 1 0000000000000000 100 0 0 10 0\n"
	got := parseListening(strings.NewReader(fakeTCP))
	maps.Copy(got, parseListening(strings.NewReader(v6)))
	if got[7001] != netip.MustParseAddrPort("127.0.0.1:6379") || got[8001] != netip.MustParseAddrPort("[::1]:6379") {
		t.Errorf("%v", got)
	}
}

// TestListeningReadsLittle: of a server's many connections hardly any is read.
func TestListeningReadsLittle(t *testing.T) {
	connection := strings.Repeat("   9: 0100007F:18EB 0100007F:C350 01 00000000:00000000 00:00000000 00000000   100        0 7003 1 0000000000000000 20 4 30 10 -1\n", 1000)
	table := strings.NewReader(fakeTCP + connection)
	if got := parseListening(table); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if read := len(fakeTCP) + len(connection) - table.Len(); read > len(fakeTCP)+socketLine {
		t.Errorf("read %d bytes of the %d that tell who listens", read, len(fakeTCP))
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a (b) c) R 7 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 12345 1000 10"))
	f.Add([]byte("1 () S"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if st, err := parseStat(data); err == nil && st.Parent < 0 {
			t.Errorf("negative parent of %q", data)
		}
		if parseThreadCount(data) < 0 {
			t.Errorf("negative count of %q", data)
		}
	})
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("0::/system.slice/docker-" + container + ".scope\n12:cpu,cpuacct:/a\n"))
	f.Add([]byte("0::/kubepods/besteffort/pod0c1f4f5e-7c0a-4f65-8a59-5cf3f3f2a111/" + container))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := parseCgroup(data)
		if n := len(c.ContainerID); n > 64 || len(c.PodUID) != 0 && len(c.PodUID) != 36 {
			t.Errorf("%+v of %q", c, data)
		}
	})
}

func FuzzParseEnvironment(f *testing.F) {
	f.Add([]byte("PATH=/bin\x00OTEL_SERVICE_NAME=a\x00OTEL_RESOURCE_ATTRIBUTES=service.name=b%20c,x,=,service.instance.id=%zz\x00"))
	f.Add([]byte("\x00\x00="))
	f.Fuzz(func(_ *testing.T, data []byte) {
		parseEnvironment(data)
		parseCommand(data)
	})
}

func FuzzParseListening(f *testing.F) {
	f.Add([]byte(fakeTCP))
	f.Add([]byte("0: :0 : 0A 0 0 0 0 0 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for inode, at := range parseListening(bytes.NewReader(data)) {
			if inode == 0 || !at.IsValid() {
				t.Errorf("%d:%s of %q", inode, at, data)
			}
		}
		parseSocket(string(data))
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("/opt/**/[a-z]?*", "/opt/a/b")
	f.Add("[!]", "x")
	f.Fuzz(func(_ *testing.T, pattern, in string) {
		if re, err := compileGlob(pattern, false); err == nil {
			re.MatchString(in)
		}
	})
}
