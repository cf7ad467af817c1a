package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
	// Instance is its service.instance.id, Listening the sockets it listens
	// on, address and port.
	Instance  string
	Listening []string
	// Severity is the record's severity text, Warn whether it is WARN or
	// above.
	Severity string
	Warn     bool
	// ID is shared by the records of one anomaly, State is raised, updated or
	// cleared, Lost the time lost so far.
	ID, State string
	Lost      time.Duration
	// TraceID and SpanID name, in hexadecimal, a span it is tied to; empty
	// when there was none.
	TraceID, SpanID string

	Kind    string
	Score   float64
	Pattern string
	// Sentence is the record's body.
	Sentence   string
	Suspects   []Suspect
	Deviations []Deviation
	// Scope is the share of the program's functions that the suspects are;
	// zero when it is not known.
	Scope float64
	// Path is the chain of callers into the first suspect, outermost first.
	Path []string
	// Cause is what the time was lost to, with Resource and Users, Hit who was hit.
	Cause, Resource string
	Users, Hit      []string
	// Chain is who waits for whom, Gain the part of a request's time that the first
	// suspect is worth.
	Chain []Link
	Gain  float64
}

// Link is one of a chain of waits.
type Link struct {
	Kind     string  `json:"kind"`
	Function string  `json:"function,omitempty"`
	Call     string  `json:"call,omitempty"`
	Thread   string  `json:"thread,omitempty"`
	Share    float64 `json:"share"`
}

// Deviation is a system call whose use left its past.
type Deviation struct {
	// Call is its name, Error the errno's name or empty.
	Call, Error      string
	Normal, Abnormal Figures
}

// Figures describe the use of a system call: calls per second, mean time in
// it, the share that failed with the deviation's error.
type Figures struct {
	PerSecond  float64
	Mean       time.Duration
	ErrorShare float64
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
		Start:    instant(r.attributes["perfscope.anomaly.start"]),
		End:      instant(r.attributes["perfscope.anomaly.end"]),
		Service:  text(r.resource["service.name"]),
		PID:      int(number(r.resource["process.pid"])),
		Instance: text(r.resource["service.instance.id"]),
		Severity: r.SeverityText,
		Warn:     r.SeverityNumber >= severityWarn,
		ID:       text(r.attributes["perfscope.anomaly.id"]),
		State:    text(r.attributes["perfscope.anomaly.state"]),
		Lost:     time.Duration(number(r.attributes["perfscope.anomaly.time_lost"]) * float64(time.Second)),
		TraceID:  r.TraceID,
		SpanID:   r.SpanID,
		Kind:     text(r.attributes["perfscope.anomaly.kind"]),
		Score:    number(r.attributes["perfscope.anomaly.score"]),
		Pattern:  text(r.attributes["perfscope.anomaly.pattern"]),
		Scope:    number(r.attributes["perfscope.search_scope"]),
		Sentence: text(r.Body.value),
	}
	a.Listening = texts(r.resource["perfscope.process.listening"])
	for _, s := range list(r.attributes["perfscope.suspects"]) {
		m, _ := s.(map[string]any)
		a.Suspects = append(a.Suspects, Suspect{
			Function: text(m["code.function.name"]),
			Module:   text(m["perfscope.module"]),
			Score:    number(m["perfscope.suspect.score"]),
			Evidence: texts(m["perfscope.suspect.evidence"]),
		})
	}
	if name := text(r.attributes["code.function.name"]); len(a.Suspects) == 0 && name != "" {
		a.Suspects = []Suspect{{Function: name}} // all that the event on a span says
	}
	for _, d := range list(r.attributes["perfscope.deviations"]) {
		m, _ := d.(map[string]any)
		a.Deviations = append(a.Deviations, Deviation{
			Call:     text(m["perfscope.syscall.name"]),
			Error:    text(m["error.type"]),
			Normal:   figures(m["normal"]),
			Abnormal: figures(m["abnormal"]),
		})
	}
	a.Cause, a.Resource = text(r.attributes["perfscope.cause.kind"]), text(r.attributes["perfscope.cause.resource"])
	a.Users, a.Hit = texts(r.attributes["perfscope.cause.users"]), texts(r.attributes["perfscope.hit"])
	for _, l := range list(r.attributes["perfscope.wait_chain"]) {
		m, _ := l.(map[string]any)
		a.Chain = append(a.Chain, Link{
			Kind: text(m["kind"]), Function: text(m["code.function.name"]), Call: text(m["perfscope.syscall.name"]),
			Thread: text(m["thread.name"]), Share: number(m["share"]),
		})
	}
	a.Gain = number(r.attributes["perfscope.suspect.gain"])
	a.Path = texts(r.attributes["perfscope.path"])
	return a
}

func figures(v any) Figures {
	m, _ := v.(map[string]any)
	return Figures{
		PerSecond:  number(m["rate"]),
		Mean:       time.Duration(number(m["mean_duration"]) * float64(time.Second)),
		ErrorShare: number(m["error_share"]),
	}
}

// instant reads a time of RFC 3339; the zero time when there is none.
func instant(v any) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text(v))
	return t
}

// Rank is the place of the first suspect that is in truth, counted from one; zero when
// none is.
func (a Anomaly) Rank(truth []string) int {
	for i, s := range a.Suspects {
		if Named(s.Function, truth) {
			return i + 1
		}
	}
	return 0
}

// Innocent reports whether no function is a suspect because the machine or a peer is the
// cause; hit says whether one of truth is among those that were hit then.
func (a Anomaly) Innocent(truth []string) (innocent, hit bool) {
	innocent = len(a.Suspects) == 0 && a.Cause != "" && a.Cause != "code" && a.Cause != "unknown"
	return innocent, innocent && slices.ContainsFunc(a.Hit, func(f string) bool { return Named(f, truth) })
}

// Named reports whether a function is one of those named.
func Named(function string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		// A clone the compiler made (f.constprop.0) is the function.
		return function == name || strings.HasPrefix(function, name+".")
	})
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
