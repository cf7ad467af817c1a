package agent

import (
	"os"
	"strings"
	"time"
)

// Cause is one function of one service that may be to blame.
type Cause struct {
	Service  string  `json:"service"`
	Function string  `json:"function"`
	Role     string  `json:"role"`
	Score    float64 `json:"score"`
}

// Incident is one perfscope.incident log record of a gateway.
type Incident struct {
	ID, State  string
	Start, End time.Time
	Sentence   string
	TraceID    string
	Causes     []Cause
}

func causes(attributes map[string]any) (out []Cause) {
	for _, c := range list(attributes["perfscope.causes"]) {
		m, _ := c.(map[string]any)
		out = append(out, Cause{
			Service: text(m["perfscope.cause.service"]), Function: text(m["code.function.name"]),
			Role: text(m["perfscope.cause.role"]), Score: number(m["perfscope.cause.score"]),
		})
	}
	return out
}

// ReadIncidents reads the incidents in the file that a gateway's file exporter
// wrote. A last line that is not complete yet is left out.
func ReadIncidents(path string) ([]Incident, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []Incident
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		records, err := parse([]byte(line))
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.EventName != "perfscope.incident" {
				continue
			}
			out = append(out, Incident{
				ID: text(r.attributes["perfscope.incident.id"]), State: text(r.attributes["perfscope.incident.state"]),
				Start: instant(r.attributes["perfscope.incident.start"]), End: instant(r.attributes["perfscope.incident.end"]),
				Sentence: text(r.Body.value), TraceID: r.TraceID, Causes: causes(r.attributes),
			})
		}
	}
	return out, nil
}

// RankOf is the place of a function of a service, counted from one; zero when
// none of those named is there.
func RankOf(list []Cause, service string, functions []string) int {
	for i, c := range list {
		if c.Service == service && Named(c.Function, functions) {
			return i + 1
		}
	}
	return 0
}
