package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/evidence"
)

func percent(x float64) string {
	switch {
	case x == 0:
		return "0 %"
	case x < 0.001:
		return "< 0.1 %"
	case x < 0.1:
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}

// figure writes a number with as many digits as say something.
func figure(x float64) string {
	switch a := math.Abs(x); {
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	case a == 0:
		return "0"
	case a < 0.01:
		return fmt.Sprintf("%.1g", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// score writes a score.
func score(x float64) string { return fmt.Sprintf("%.2f", x) }

// length writes seconds with as many digits as say something.
func length(seconds float64) string {
	digits := func(x float64, unit string) string {
		if x >= 10 {
			return fmt.Sprintf("%.0f %s", x, unit)
		}
		return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") + " " + unit
	}
	switch {
	case seconds <= 0:
		return "0 s"
	case seconds < 1e-3:
		return fmt.Sprintf("%.0f µs", seconds*1e6)
	case seconds < 1:
		return digits(seconds*1e3, "ms")
	case seconds < 120:
		return digits(seconds, "s")
	}
	return strings.TrimSuffix(time.Duration(seconds*float64(time.Second)).Round(time.Minute).String(), "0s")
}

// words writes a name that programs read as people would: cpu_quota as CPU quota.
func words(name string) string {
	if w, ok := plainWords[name]; ok {
		return w
	}
	return strings.ReplaceAll(name, "_", " ")
}

// plainWords are those that say nothing by themselves.
var plainWords = map[string]string{
	"on_cpu": "on CPU", "blocked": "waiting", "syscall": "calls", "signature": "told by its calls",
	"cpu_quota": "CPU quota", "cpu_contention": "other programs on the CPUs", "peer": "a peer", "stopped": "stopped by somebody", "unanswered": "requests that nothing works on",
	"recovered": "recovered", "learned": "it has become normal", "unwatched": "not watched any more",
	"memory": "lack of memory", "tiny_io": "tiny reads and writes",
	"more_of_the_same": "Slow ones do the same as fast ones, only more of it.",
	"another_path":     "Slow ones go another way through the program.",
	"unknown":          "unknown",
	"unexplained":      "What they wait for may be outside of this process.",
}

// when writes a date and a time, as it is read by people: UTC.
func when(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05") }

func clock(t time.Time) string { return t.Format("15:04:05") }

// field writes an instant as the value of a browser's field for one.
func field(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

func rfc(t time.Time) string { return t.Format(time.RFC3339) }

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// size writes bytes.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// use writes how a call is used.
func use(u evidence.Use) string {
	if u.Rate == 0 {
		return "none"
	}
	return fmt.Sprintf("%s/s of %s", figure(u.Rate), length(u.Mean))
}

// bar draws a share now above the one in the past.
func bar(now, past float64) template.HTML {
	const width = 92.0
	return template.HTML(fmt.Sprintf( //nolint:gosec // numbers only
		`<svg class="bar" viewBox="0 0 92 12" aria-hidden="true"><rect class="now" x="0" y="0" height="7" width="%.1f"/><rect class="past" x="0" y="8" height="4" width="%.1f"/></svg>`,
		width*min(1, max(0, now)), width*min(1, max(0, past))))
}

// spark draws the scores of hops; a line marks 1, which is what matters.
func spark(hops []evidence.Hop) template.HTML {
	if len(hops) == 0 {
		return ""
	}
	const width, height, glance = 160.0, 30.0, 60
	hops = hops[max(0, len(hops)-glance):]
	top := 1.3
	for i := range hops {
		top = max(top, hops[i].Score)
	}
	x := func(i int) float64 { return width * float64(glance-len(hops)+i) / (glance - 1) }
	y := func(score float64) float64 { return height - 1 - (height-2)*score/top }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="score of the last %d hops, now %s">`, width, height, len(hops), figure(hops[len(hops)-1].Score))
	for i := range hops {
		if hops[i].Abnormal {
			fmt.Fprintf(&b, `<rect x="%.1f" y="0" width="%.1f" height="%g"/>`, x(i)-width/glance/2, width/glance+0.5, height)
		}
	}
	fmt.Fprintf(&b, `<polyline class="one" points="0,%.1f %g,%.1f"/><polyline points="`, y(1), width, y(1))
	for i := range hops {
		if hops[i].Judged {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(i), y(hops[i].Score))
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers only
}
