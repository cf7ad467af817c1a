package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/evidence"
)

const (
	// MaxLines bounds the lines of an anomaly on a console.
	MaxLines = 15
	// what of it are: lines of the sentence, suspects, calls.
	sentenceLines, suspectLines, callLines = 4, 4, 2
	textWidth                              = 92
)

// WriteText writes an anomaly for a console, in at most MaxLines lines: the sentence,
// the first suspects, the calls that changed, the path, and where there is more.
func WriteText(w io.Writer, s *evidence.Service, a *evidence.Anomaly, where ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  ABNORMAL  %s%s\n", clock(a.End), oneLine(s.Name), process(s))
	lines := strings.Split(wrap(oneLine(a.Sentence), textWidth), "\n")
	for i, line := range lines[:min(len(lines), sentenceLines)] {
		if i == sentenceLines-1 && len(lines) > sentenceLines {
			line += " …"
		}
		fmt.Fprintf(&b, "    %s\n", line)
	}
	suspects := suspectLines
	if told := causes(a); told != "" {
		fmt.Fprintf(&b, "    lost to: %s\n", told)
		suspects--
	}
	if len(a.Suspects) > 0 {
		fmt.Fprintf(&b, "    %4s  %5s  %-44s %-18s %s\n", "rank", "score", "function", "module", "evidence")
	}
	for i, f := range a.Suspects[:min(len(a.Suspects), suspects)] {
		fmt.Fprintf(&b, "    %4d  %5.2f  %-44s %-18s %s\n", i+1, f.Score, cutTo(f.Function, 44), cutTo(f.Module, 18), strings.Join(f.Evidence, ", "))
	}
	for _, d := range a.Deviations[:min(len(a.Deviations), callLines)] {
		fmt.Fprintf(&b, "    %-28s normal %20s   now %20s\n", strings.TrimSpace(d.Call+" "+d.Error), use(d.Normal), use(d.Now))
	}
	if len(a.Path) > 0 {
		fmt.Fprintf(&b, "    path: %s\n", cutFront(strings.Join(a.Path, " > "), textWidth))
	}
	for _, at := range where[:min(len(where), 2)] {
		fmt.Fprintf(&b, "    see %s\n", at)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteLine writes what became of an anomaly in one line.
func WriteLine(w io.Writer, s *evidence.Service, a *evidence.Anomaly) error {
	state := "CHANGED "
	if !a.Ongoing() {
		state = "CLEARED "
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s%s: %s\n", clock(a.End), state, oneLine(s.Name), process(s), strings.TrimPrefix(oneLine(a.Sentence), s.Name+": "))
	return err
}

// causes says what the time was lost to, nothing when that is code alone.
func causes(a *evidence.Anomaly) string {
	if len(a.Causes) == 0 || len(a.Causes) == 1 && a.Causes[0].Kind == "code" {
		return ""
	}
	var parts []string
	for _, c := range a.Causes {
		parts = append(parts, fmt.Sprintf("%s %.0f %%%s%s", c.Kind, 100*c.Share, before(" of ", c.Resource), before(" used by ", strings.Join(c.Users, ", "))))
	}
	return cutTo(oneLine(strings.Join(parts, "; ")), textWidth)
}

func before(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

// WriteSentence writes a sentence of another kind, RELEASE for instance, in one line.
func WriteSentence(w io.Writer, at time.Time, what, sentence string) error {
	_, err := fmt.Fprintf(w, "%s  %s  %s\n", clock(at), what, oneLine(sentence))
	return err
}

func process(s *evidence.Service) string {
	if s.PID == 0 {
		return ""
	}
	return fmt.Sprintf(", pid %d", s.PID)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// wrap breaks a text into lines of at most width bytes, where it has spaces.
func wrap(s string, width int) string {
	var b strings.Builder
	line := 0
	for _, word := range strings.Fields(s) {
		switch {
		case line == 0:
		case line+1+len(word) > width:
			b.WriteByte('\n')
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

func cutTo(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

// cutFront keeps the end of a path: that is where the suspect is.
func cutFront(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return "…" + string(r[len(r)-most+1:])
}
