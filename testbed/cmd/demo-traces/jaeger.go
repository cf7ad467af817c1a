package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/market"
	"github.com/perfscope/perfscope/testbed/server"
)

// The part of Jaeger's query API that is shown.
type (
	answer struct {
		Data []trace `json:"data"`
	}
	trace struct {
		TraceID   string `json:"traceID"`
		Spans     []span `json:"spans"`
		Processes map[string]struct {
			ServiceName string `json:"serviceName"`
		} `json:"processes"`
	}
	span struct {
		SpanID        string `json:"spanID"`
		OperationName string `json:"operationName"`
		ProcessID     string `json:"processID"`
		StartTime     int64  `json:"startTime"` // µs
		Duration      int64  `json:"duration"`  // µs
		References    []struct {
			SpanID string `json:"spanID"`
		} `json:"references"`
		Logs []struct {
			Fields []struct {
				Key   string `json:"key"`
				Value any    `json:"value"`
			} `json:"fields"`
		} `json:"logs"`
	}
)

// show asks Jaeger for the traces that the fault is to blame for, and prints
// the slowest of them. It reports whether there is one.
func show(ctx context.Context, jaeger *server.Jaeger, f market.Fault) (bool, error) {
	tags, err := json.Marshal(map[string]string{"perfscope.cause.service": f.Service})
	if err != nil {
		return false, err
	}
	query := "http://" + jaeger.Addr + "/api/traces?" + url.Values{
		"service": {"front"}, "limit": {"200"}, "lookback": {"1h"}, "tags": {string(tags)},
	}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, query, nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&a); err != nil {
		return false, fmt.Errorf("jaeger's answer: %w", err)
	}
	fmt.Printf("\nThe traces that %s is to blame for:\n\n  curl '%s'\n\n%d traces. The slowest of them:\n\n", f.Service, query, len(a.Data))
	if len(a.Data) == 0 {
		return false, nil
	}
	slowest := slices.MaxFunc(a.Data, func(x, y trace) int { return cmp.Compare(x.length(), y.length()) })
	named := slowest.print()
	if named {
		fmt.Printf("\nOK      the trace %s names %s\n", slowest.TraceID, strings.Join(f.Truth, " or "))
	}
	return named && slowest.names(f.Truth), nil
}

func (t *trace) length() (longest int64) {
	for _, s := range t.Spans {
		longest = max(longest, s.Duration)
	}
	return longest
}

// names reports whether an anomaly in the trace has one of the functions as
// its first suspect.
func (t *trace) names(functions []string) bool {
	for i := range t.Spans {
		for _, fields := range t.Spans[i].events() {
			if fields["event"] == "perfscope.anomaly" && agent.Named(fields["code.function.name"], functions) {
				return true
			}
		}
	}
	return false
}

func (s *span) events() (out []map[string]string) {
	for _, l := range s.Logs {
		fields := map[string]string{}
		for _, f := range l.Fields {
			fields[f.Key] = fmt.Sprint(f.Value)
		}
		out = append(out, fields)
	}
	return out
}

// print prints the trace as a tree with its events; it reports whether there
// are any.
func (t *trace) print() (any bool) {
	children := map[string][]*span{}
	ids := map[string]bool{}
	for i := range t.Spans {
		ids[t.Spans[i].SpanID] = true
	}
	for i := range t.Spans {
		parent := ""
		if refs := t.Spans[i].References; len(refs) > 0 && ids[refs[0].SpanID] {
			parent = refs[0].SpanID
		}
		children[parent] = append(children[parent], &t.Spans[i])
	}
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		list := children[parent]
		slices.SortFunc(list, func(a, b *span) int { return cmp.Compare(a.StartTime, b.StartTime) })
		for _, s := range list {
			indent := strings.Repeat("  ", depth+1)
			fmt.Printf("%s%-8s %-*s %8.2f ms\n", indent, t.Processes[s.ProcessID].ServiceName, 40-2*depth, s.OperationName,
				float64(s.Duration)/float64(time.Millisecond/time.Microsecond))
			for _, fields := range s.events() {
				if !strings.HasPrefix(fields["event"], "perfscope.") {
					continue
				}
				any = true
				fmt.Printf("%s  * %s: %s\n", indent, fields["event"], fields["perfscope.anomaly.summary"])
				if fields["event"] == "perfscope.anomaly" {
					fmt.Printf("%s    (%s; matched by %s and %s, confidence %s)\n", indent,
						fields["perfscope.cause.role"], fields["perfscope.match.resource"], fields["perfscope.match.by"], fields["perfscope.match.confidence"])
				}
			}
			walk(s.SpanID, depth+1)
		}
	}
	walk("", 0)
	return any
}
