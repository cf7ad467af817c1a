package signature

import (
	"fmt"
	"path"
	"strings"
)

// buildIDs are the kinds of build id that OpenTelemetry's conventions have, the
// one that says most first.
var buildIDs = []string{"gnu", "go", "htlhash"}

// ProgramOf reads which program a resource is, by OpenTelemetry's conventions;
// attribute gives an attribute's value, empty when it is not there.
func ProgramOf(attribute func(key string) string) Program {
	p := Program{Executable: attribute("process.executable.path"), Arch: attribute("host.arch")}
	for _, kind := range buildIDs {
		if id := attribute("process.executable.build_id." + kind); id != "" {
			p.BuildIDKind, p.BuildID = kind, id
			break
		}
	}
	// Of a virtual machine the executable is the same whatever it runs.
	if runtime := attribute("process.runtime.name"); runtime != "" && runtime != "go" {
		p.Service = attribute("service.name")
	}
	return p
}

// Fits reports whether signatures of p are good for a program that runs; the
// error says why they are not, and what to do. Where it is installed does not
// matter: the build id tells builds apart.
func (p Program) Fits(running Program) error {
	again := "extract its signatures again (config/extract.yaml)"
	switch {
	case p.Arch != running.Arch:
		return fmt.Errorf("they are of architecture %q, and this machine is %q: %s", p.Arch, running.Arch, again)
	case running.BuildID == "":
		return fmt.Errorf("%s has no build id by which to know that they are of it: link it with --build-id", running.Executable)
	case p.BuildIDKind != running.BuildIDKind || p.BuildID != running.BuildID:
		return fmt.Errorf("they are of build %s %q, and %s runs as build %s %q: %s",
			p.BuildIDKind, p.BuildID, running.Executable, running.BuildIDKind, running.BuildID, again)
	case p.Service != running.Service:
		return fmt.Errorf("they are of service %q, and this is service %q: %s", p.Service, running.Service, again)
	}
	return nil
}

// Same reports whether signatures of p may be of the program at all: of the
// same name, or of the same service where that counts, in whatever build.
func (p Program) Same(running Program) bool {
	return p.Service == running.Service && (p.Service != "" || path.Base(p.Executable) == path.Base(running.Executable))
}

// fileBuildID is how much of a build id is in a file's name: enough to tell the
// builds of one program apart.
const fileBuildID = 16

// FileName is the name of the program's file: redis-server-60f4….signatures.
func (p Program) FileName() string {
	name := path.Base(p.Executable)
	if p.Service != "" {
		name = p.Service + "-" + name
	}
	return plain(name, 64) + "-" + plain(p.BuildID, fileBuildID) + ".signatures"
}

// plain keeps what is safe in a file's name.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, strings.TrimLeft(s, "."))
	return s[:min(len(s), most)]
}
