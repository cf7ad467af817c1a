package bench

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// TestTablesAreWhole writes the document of a report that has everything, and of
// one that has nothing: each row of a table has its header's cells.
func TestTablesAreWhole(t *testing.T) {
	ns := func(v float64) *float64 { return &v }
	full := &Report{
		Machine: "two processors", Date: map[string]string{},
		Calls: map[string]*Calls{"getppid": {NS: map[string]*float64{
			"bare": ns(80), "empty_probes": ns(120), "clock_probes": ns(160), "untraced": ns(124), "traced": ns(170), "bpftrace": nil,
		}, Reasons: map[string]string{"bpftrace": "not installed"}}},
		Details: map[string]*Server{"redis": {
			Name: "redis", Modes: map[Mode]Figures{Bare: {RPS: 1000, P99: 1}, Burst: {RPS: 990, P99: 2, Traced: 0.1, CPU: 0.01, CPUs: 2}},
			Loss: map[Mode]Loss{Burst: {1, 0.5, 1.5}}, Attached: &Attached{Loss: Loss{8, 6, 10}}, All: map[Mode][]float64{Bare: {1000, 900}}, Half: map[Mode]Figures{Bare: {RPS: 500}, Burst: {RPS: 499}},
		}},
		Stages: []Stage{{Name: "read", NS: 40}, {Name: "fold", NS: 50}},
		Scales: []Scale{{Services: 1, Threads: 2000, Calls: 300_000, Figures: Figures{RSS: 140}}},
		Duty:   make([]Tick, 20),
	}
	empty, err := Load(t.TempDir() + "/none.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Report{full, empty} {
		r.Summarise()
		var text bytes.Buffer
		r.Markdown(&text)
		cells := 0
		for line := range strings.Lines(text.String()) {
			n := strings.Count(line, "|")
			switch {
			case n == 0:
				cells = 0
			case cells == 0:
				cells = n
			case n != cells:
				t.Errorf("%d cells in a table of %d: %s", n-1, cells-1, line)
			}
		}
		if r == full && !strings.Contains(text.String(), "stands\nas 1.10 to 1, a recorded one as 2.25 to 1") {
			t.Errorf("the shares of a call are not told:\n%s", text.String())
		}
	}
	if sum := full.Details["redis"].addedUp(Burst); math.Abs(sum.Mid-1.3) > 1e-9 || math.Abs(sum.High-1.5) > 1e-9 {
		t.Errorf("half a percent of own time and a tenth of eight are %+v", sum)
	}
	if *full.UserspaceNS != 90 || *full.RSS != 140 || len(full.Servers) != 1 || full.Servers[0].WatchedRPS != 990 {
		t.Errorf("summed up as %v ns, %v MiB, %+v", *full.UserspaceNS, *full.RSS, full.Servers)
	}
}
