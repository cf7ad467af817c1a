package page

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

const corpus = "../corpus"

// witness keeps what there is to show when an anomaly is told first.
type witness struct {
	*inference.Analyzer
	view *report.View
}

func (w *witness) Advance(now int64) []inference.Anomaly {
	found := w.Analyzer.Advance(now)
	w.keep(found)
	return found
}

func (w *witness) Ahead(now int64) (inference.Anomaly, bool) {
	found, ok := w.Analyzer.Ahead(now)
	if ok {
		w.keep([]inference.Anomaly{found})
	}
	return found, ok
}

func (w *witness) keep(found []inference.Anomaly) {
	for i := range found {
		if a := &found[i]; w.view == nil && !a.Warmup && a.State == inference.StateRaised {
			snapshot := w.Snapshot()
			anomaly := evidence.AnomalyOf(a)
			d := evidence.NewDetail(evidence.Service{
				ID: "service", Name: "service", State: evidence.Judged,
				Hops: evidence.HopsOf(snapshot.Figures), Anomalies: []evidence.Anomaly{anomaly},
			}, snapshot, func(id string) string { return id })
			w.view = &report.View{Detail: d, Anomaly: &d.Anomalies[0]}
			w.view.Stretch, _ = d.Of(&anomaly)
		}
	}
}

// TestEveryFaultIsSeenAtOnce: of each recorded fault that is told, the first suspect is
// on the first screen, and nothing is wider than a phone.
func TestEveryFaultIsSeenAtOnce(t *testing.T) {
	b := newBrowser(t)
	dir, shown := t.TempDir(), 0
	for _, sc := range scenario.All() {
		file := filepath.Join(dir, sc.Name+".html")
		if suspect, ok := writeFault(t, sc, file); ok {
			shown++
			b.sees(t, sc.Name, file, suspect)
			_ = os.Remove(file)
		}
	}
	if shown < 80 {
		t.Errorf("%d faults are shown", shown)
	}
	b.quiet(t, "file:///")
}

// writeFault writes what is shown of a fault in the corpus, false when it names nobody.
func writeFault(t *testing.T, sc scenario.Scenario, file string) (suspect string, ok bool) {
	t.Helper()
	labels, err := runner.LoadLabels(filepath.Join(corpus, sc.Name))
	if os.IsNotExist(err) {
		return "", false
	} else if err != nil {
		t.Fatal(err)
	}
	services, err := scoreboard.Read(labels.Recording, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		w := &witness{Analyzer: inference.NewAnalyzer(inference.DefaultConfig(), s.Arch)}
		scoreboard.Play(s, w)
		if w.view == nil || len(w.view.Anomaly.Suspects) == 0 {
			continue
		}
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := report.WriteFile(out, w.view); err != nil {
			t.Fatal(err)
		}
		return w.view.Anomaly.Suspects[0].Function, true
	}
	return "", false
}

// sees opens a file on a desk and on a phone.
func (b *browser) sees(t *testing.T, name, file, suspect string) {
	t.Helper()
	for _, s := range []screen{{1280, 800, false}, {390, 844, false}} {
		b.as(t, s)
		b.open(t, file)
		if got := b.text(t, first); !strings.Contains(strings.ReplaceAll(got, "\u200b", ""), suspect) {
			t.Errorf("%s: %q is shown first, not %q", name, got, suspect)
			continue
		}
		if s.width > 1000 && b.text(t, shown) != "true" {
			t.Errorf("%s: the first suspect is not seen without scrolling", name)
		}
		if wide, _ := strconv.Atoi(b.text(t, `String(document.documentElement.scrollWidth - innerWidth)`)); wide > 0 {
			t.Errorf("%s: the page is %d pixels wider than a screen of %d", name, wide, s.width)
		}
	}
}
