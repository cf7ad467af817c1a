package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/evidence/evidencetest"
)

func view(t testing.TB, d *evidence.Detail) *View {
	t.Helper()
	v := &View{Detail: d, Anomaly: d.Open()}
	var ok bool
	if v.Stretch, ok = d.Of(v.Anomaly); !ok {
		t.Fatal("no stacks")
	}
	return v
}

func plain(i int) string { return fmt.Sprintf("work_%d", i) }

// TestALargeServiceIsASmallPage: 60 hops and 16,384 stacks.
func TestALargeServiceIsASmallPage(t *testing.T) {
	d := evidencetest.Slow(t, 60, 16384, plain)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"page": func(b *bytes.Buffer) error { return WriteService(b, view(t, d)) },
		"file": func(b *bytes.Buffer) error { return WriteFile(b, view(t, d)) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if b.Len() >= 1<<20 {
			t.Errorf("the %s has %d bytes", name, b.Len())
		}
		t.Logf("%s: %d bytes", name, b.Len())
	}
	if n := len(d.Hops); n < 58 {
		t.Errorf("%d hops", n)
	}
}

func BenchmarkPage(b *testing.B) {
	d := evidencetest.Slow(b, 60, 16384, plain)
	for b.Loop() {
		var out bytes.Buffer
		if err := WriteService(&out, view(b, d)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(out.Len()), "bytes/page")
	}
}

// hostile is the name of a function as an attacker would choose it.
func hostile(i int) string {
	return fmt.Sprintf(`</script><script>alert(%d)</script><img src=x onerror=alert(1)>"'><!-- %d`+"\x1b[31m\u202e", i, i)
}

var markup = regexp.MustCompile(`(?i)<script>alert|<img src=x|onerror=alert\(1\)>"|<!-- \d`)

// TestNamesOfATargetAreOnlyText: pages are made of what a target calls its functions.
func TestNamesOfATargetAreOnlyText(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, hostile)
	v := view(t, d)
	hostile := func(i int) string { return cleantext.Clean(hostile(i), cleantext.MaxName) }
	v.TraceLink = "javascript:alert({trace_id})"
	d.Spans = []evidence.Span{{Trace: hostile(1), ID: hostile(2), Name: hostile(3)}}
	d.Marks = []evidence.Mark{{Text: hostile(4)}}
	v.Incident = &Incident{Sentence: hostile(5), Causes: []Cause{{Service: hostile(6), Function: hostile(7)}}}
	var b bytes.Buffer
	for name, write := range map[string]func() error{
		"overview": func() error {
			return WriteOverview(&b, &Overview{Services: []evidence.Service{d.Service}, Watches: []evidence.Watch{{Mode: hostile(8), Rules: []evidence.Rule{{Text: hostile(9)}}}}})
		},
		"page": func() error { return WriteService(&b, v) },
		"file": func() error { return WriteFile(&b, v) },
	} {
		b.Reset()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if found := markup.FindString(page); found != "" {
			t.Errorf("%s: %q is markup", name, found)
		}
		if strings.ContainsAny(page, "\x1b\u202e") {
			t.Errorf("%s: control characters", name)
		}
		if strings.Contains(page, `href="javascript:`) {
			t.Errorf("%s: a link runs a script", name)
		}
		if !strings.Contains(page, "alert") {
			t.Errorf("%s: the names are not there at all", name)
		}
	}
}

// TestTheFileAllowsItselfOnly: what its policy allows is what is in it.
func TestTheFileAllowsItselfOnly(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFile(&b, view(t, evidencetest.Slow(t, 20, 20, plain))); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, kind := range []string{"script", "style"} {
		_, inside, ok := strings.Cut(page, "<"+kind+">")
		text, _, closed := strings.Cut(inside, "</"+kind+">")
		if !ok || !closed || !strings.Contains(page, kind+"-src &#39;sha256-"+strings.ReplaceAll(sum(text), "+", "&#43;")+"&#39;") {
			t.Errorf("the policy does not allow the %s that is in it", kind)
		}
	}
	if found := regexp.MustCompile(`(?i)(src|href)="(https?:)?//`).FindString(page); found != "" {
		t.Errorf("it asks others: %s", found)
	}
}

// TestPprofOpensThePair and names what grew.
func TestPprofOpensThePair(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, plain)
	s := view(t, d).Stretch
	dir := t.TempDir()
	for name, which := range map[string]evidence.Which{"normal": evidence.Normal, "abnormal": evidence.Abnormal} {
		var b bytes.Buffer
		if err := s.WritePprof(&b, which, &d.Service); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-diff_base", filepath.Join(dir, "normal"), filepath.Join(dir, "abnormal")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, table, _ := strings.Cut(string(out), "cum%\n")
	first, _, _ := strings.Cut(table, "\n")
	if !strings.HasSuffix(first, "work_0slow") {
		t.Errorf("the suspect does not lead:\n%s", out)
	}
}

func TestAnAnomalyIsFewLines(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, plain)
	a := *d.Open()
	a.Causes = []evidence.Cause{{Kind: "code", Share: 0.6}, {Kind: "disk", Share: 0.4, Resource: strings.Repeat("disk", 100)}}
	for range 30 {
		a.Suspects = append(a.Suspects, a.Suspects[0])
		a.Deviations = append(a.Deviations, evidence.Deviation{Call: "read"})
		a.Path = append(a.Path, strings.Repeat("caller", 10))
		a.Sentence += " It goes on and on,\nand on."
	}
	var b bytes.Buffer
	if err := WriteText(&b, &d.Service, &a, "http://localhost/", "/var/log/report.html", "third"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > MaxLines || !strings.Contains(b.String(), "work_0slow") || !strings.Contains(b.String(), "/var/log/report.html") {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
	b.Reset()
	a.State = "cleared"
	if err := WriteLine(&b, &d.Service, &a); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("cleared: %q", b.String())
	}
}

// TestWhatIsNobodysCode: the cause is there with who uses the resource, and no empty
// table of functions.
func TestWhatIsNobodysCode(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, plain)
	v := view(t, d)
	a := *v.Anomaly
	a.Suspects, a.Hit = nil, []string{"f_hit"}
	a.Causes = []evidence.Cause{{Kind: "disk", Share: 0.8, Resource: "<vda>", Users: []string{"tar"}}, {Kind: "code", Share: 0.2}}
	v.Anomaly = &a
	var text, page bytes.Buffer
	if err := errors.Join(WriteText(&text, &d.Service, &a), WriteFile(&page, v)); err != nil {
		t.Fatal(err)
	}
	if s := text.String(); !strings.Contains(s, "lost to: disk 80 % of <vda> used by tar; code 20 %\n") || strings.Contains(s, "rank") {
		t.Errorf("the text is\n%s", s)
	}
	for _, want := range []string{"What the time was lost to", "&lt;vda&gt;", "tar", "f_hit"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
