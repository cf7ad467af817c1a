//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/server"
)

// second is a collector that writes the profiles it is sent into a file.
const second = `
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: %[1]s
exporters:
  file:
    path: %[2]s
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    profiles:
      receivers: [otlp]
      exporters: [file]
`

// TestProfilesOfOneCollectorAtAnother runs both receivers in one collector beside a
// Python service under load: what leaves for another collector is what the profiler made,
// sample for sample, functions of the service among them.
func TestProfilesOfOneCollectorAtAnother(t *testing.T) {
	needRoot(t)
	full, wrapper := withProfiler(t)
	dir := t.TempDir()
	endpoint, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	made, sent, file := filepath.Join(dir, "made.json"), filepath.Join(dir, "sent.json"), filepath.Join(dir, "second.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, second, endpoint, sent), 0o600); err != nil {
		t.Fatal(err)
	}
	gate := "--feature-gates=service.profilesSupport"
	other, err := proc.Start(proc.Options{Path: full, Args: []string{gate, "--config", file}, Output: filepath.Join(dir, "second.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop(10 * time.Second)

	index := slices.IndexFunc(scenario.Languages(), func(sc scenario.Scenario) bool { return sc.Name == "guestbook-rule" })
	sc := scenario.Languages()[index]
	w, err := sc.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Server.Stop()
	end, err := w.Fault(t.Context()) // else it hardly works
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	l := load.Start(t.Context(), w.Load)
	defer l.Stop()
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: full, File: config, Out: dir, Args: []string{gate}, Wrapper: []string{wrapper},
		Overlays: []string{
			filepath.Join(filepath.Dir(config), "profiles.yaml"),
			"yaml:exporters::file/made::path: " + made,
			"yaml:service::pipelines::profiles/made: {receivers: [profiling], exporters: [file/made]}",
		},
		Env: []string{"PERFSCOPE_PROFILES_EXPORTERS=[otlp_grpc/profiles]", "PERFSCOPE_PROFILES_ENDPOINT=" + endpoint, "PERFSCOPE_PROFILES_INSECURE=true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	// Whether they count beside the receiver's samples depends on which name more.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		profiles, err := os.ReadFile(made)
		if err == nil && bytes.Contains(profiles, []byte("is_attack")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no function of the service is in what was made: %v", err)
		}
	}
	time.Sleep(5 * time.Second) // some more profiles
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if err := other.Stop(10 * time.Second); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Error(err)
		}
	}
	want, got := samplesIn(t, made), samplesIn(t, sent)
	if len(want) == 0 || !maps.Equal(want, got) {
		t.Errorf("%d distinct samples were made, %d came", len(want), len(got))
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(s string) bool { return strings.Contains(s, "is_attack") }) {
		t.Error("no function of the service is among them")
	}
}

// withProfiler finds the full distribution and builds what gives the profiler what a
// container lacks.
func withProfiler(t *testing.T) (full, wrapper string) {
	t.Helper()
	full = filepath.Join("..", "..", "bin", "otelcol-perfscope-full")
	if _, err := os.Stat(full); err != nil {
		t.Skip("the full distribution is not built: make build-full")
	}
	wrapper = filepath.Join(t.TempDir(), "profilerhost")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", wrapper, "../cmd/profilerhost").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return full, wrapper
}

// samplesIn counts the samples in a file of the file exporter by all that they say:
// process, thread, times and functions.
func samplesIn(t *testing.T, file string) map[string]int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		pd, err := (&pprofile.JSONUnmarshaler{}).UnmarshalProfiles(lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, rp := range pd.ResourceProfiles().All() {
			process := fmt.Sprint(rp.Resource().Attributes().AsRaw())
			for _, sp := range rp.ScopeProfiles().All() {
				for _, p := range sp.Profiles().All() {
					for _, s := range p.Samples().All() {
						found[process+describeSample(pd.Dictionary(), p, s)]++
					}
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func describeSample(d pprofile.ProfilesDictionary, p pprofile.Profile, s pprofile.Sample) string {
	text := d.StringTable().At
	var b strings.Builder
	fmt.Fprint(&b, " ", text(int(p.SampleType().TypeStrindex())), p.Period(), s.TimestampsUnixNano().AsRaw(), s.Values().AsRaw())
	for _, i := range s.AttributeIndices().All() {
		a := d.AttributeTable().At(int(i))
		fmt.Fprint(&b, " ", text(int(a.KeyStrindex())), "=", a.Value().AsRaw())
	}
	for _, i := range d.StackTable().At(int(s.StackIndex())).LocationIndices().All() {
		at := d.LocationTable().At(int(i))
		fmt.Fprintf(&b, " < %x", at.Address())
		for _, line := range at.Lines().All() {
			fmt.Fprint(&b, " ", text(int(d.FunctionTable().At(int(line.FunctionIndex())).NameStrindex())), ":", line.Line())
		}
	}
	return b.String()
}
