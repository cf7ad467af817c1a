package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// severityWarn is OTLP's SeverityNumber of WARN.
const severityWarn = 13

// Anomaly is one perfscope.anomaly log record, as the collector exported it.
type Anomaly struct {
	// Seen is when the record was read here; Start and End bound the time
	// it is about.
	Seen, Start, End time.Time
	// Service and PID are the resource the record names.
	Service string
	PID     int
	// Severity is the record's severity text, Warn whether it is WARN or
	// above.
	Severity string
	Warn     bool
	// ID is shared by the records of one episode.
	ID      string
	Kind    string
	Score   float64
	Pattern string
	// Sentence is the record's body.
	Sentence   string
	Suspects   []Suspect
	Deviations []string
	Path       []string
}

// Suspect is one ranked function.
type Suspect struct {
	Function string  `json:"function"`
	Module   string  `json:"module"`
	Score    float64 `json:"score"`
	// Evidence are the kinds of stack that name the function.
	Evidence []string `json:"-"`
}

// Follow reads anomalies from the file as the collector appends them and
// passes them on until ctx ends. A record that can't be read is an error that
// ends it.
func Follow(ctx context.Context, path string, pass func(Anomaly)) error {
	var (
		file *os.File
		rest []byte
		err  error
	)
	defer func() {
		if file != nil {
			file.Close()
		}
	}()
	chunk := make([]byte, 64<<10)
	for {
		if file == nil {
			file, err = os.Open(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		for file != nil {
			n, err := file.Read(chunk)
			rest = append(rest, chunk[:n]...)
			if errors.Is(err, io.EOF) || n == 0 {
				break
			}
			if err != nil {
				return err
			}
		}
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			rest = after
			records, err := parse(line)
			if err != nil {
				return err
			}
			for _, r := range records {
				if r.EventName == "perfscope.anomaly" {
					pass(anomaly(r))
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func anomaly(r record) Anomaly {
	a := Anomaly{
		Seen:     time.Now(),
		End:      r.time(),
		Service:  text(r.resource["service.name"]),
		PID:      int(number(r.resource["process.pid"])),
		Severity: r.SeverityText,
		Warn:     r.SeverityNumber >= severityWarn,
		ID:       text(r.attributes["perfscope.anomaly.id"]),
		Kind:     text(r.attributes["perfscope.anomaly.kind"]),
		Score:    number(r.attributes["perfscope.anomaly.score"]),
		Pattern:  text(r.attributes["perfscope.anomaly.pattern"]),
		Sentence: text(r.Body.value),
	}
	for _, s := range list(r.attributes["perfscope.anomaly.suspects"]) {
		m, _ := s.(map[string]any)
		a.Suspects = append(a.Suspects, Suspect{
			Function: text(m["code.function.name"]),
			Module:   text(m["module"]),
			Score:    number(m["score"]),
			Evidence: texts(m["evidence"]),
		})
	}
	a.Path = texts(r.attributes["perfscope.anomaly.path"])
	return a
}

// Rank is the place of the first suspect that is in truth, counted from one;
// zero when none is.
func (a Anomaly) Rank(truth []string) int {
	for i, s := range a.Suspects {
		for _, name := range truth {
			// A clone the compiler made (f.constprop.0) is the function.
			if s.Function == name || strings.HasPrefix(s.Function, name+".") {
				return i + 1
			}
		}
	}
	return 0
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	return 0
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func texts(v any) []string {
	var out []string
	for _, e := range list(v) {
		out = append(out, text(e))
	}
	return out
}
