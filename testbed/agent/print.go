package agent

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Print prints what the anomaly says and marks the true functions.
func (a Anomaly) Print(w io.Writer, truth []string) {
	fmt.Fprintf(w, "\n        %s\n", wrap(a.Sentence, 84, "        "))
	fmt.Fprintf(w, "\n        %s, score %.2f", a.Kind, a.Score)
	if a.Pattern != "" {
		fmt.Fprintf(w, ", pattern: %s", a.Pattern)
	}
	fmt.Fprintf(w, "\n\n        %4s  %5s  %-40s %-18s %s\n", "rank", "score", "function", "module", "evidence")
	for i, s := range a.Suspects {
		mark := "  "
		if Named(s.Function, truth) {
			mark = "<-"
		}
		fmt.Fprintf(w, "        %4d  %5.2f  %-40s %-18s %s %s\n", i+1, s.Score, s.Function, s.Module, strings.Join(s.Evidence, ", "), mark)
	}
	if len(a.Deviations) > 0 {
		fmt.Fprintf(w, "\n        %-28s %22s %22s\n", "system calls that changed", "normal", "now")
	}
	for _, d := range a.Deviations[:min(5, len(a.Deviations))] {
		name := d.Call
		if d.Error != "" {
			name += " " + d.Error
		}
		fmt.Fprintf(w, "        %-28s %22s %22s\n", name, callFigures(d.Normal), callFigures(d.Abnormal))
	}
	if len(a.Path) > 0 {
		fmt.Fprintf(w, "\n        path: %s\n", wrap(strings.Join(a.Path, " > "), 84, "              "))
	}
	fmt.Fprintln(w)
}

func callFigures(f Figures) string {
	if f.PerSecond == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f/s of %s", f.PerSecond, Short(f.Mean))
}

// wrap breaks a sentence into lines of at most width characters.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for _, word := range strings.Fields(s) {
		switch {
		case line == 0:
		case line+1+len(word) > width:
			b.WriteString("\n" + indent)
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

// Short is a duration in µs or ms.
func Short(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
