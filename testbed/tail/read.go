package tail

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

// lines calls fn with each line of a file that may not be there.
func lines(path string, fn func([]byte) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil // the last one may not be whole
		}
		if err := fn(bytes.TrimSpace(line)); err != nil {
			return err
		}
	}
}

// said reads the last explanation of the collector's log records.
func said(path, service string, began time.Time) (r Result, err error) {
	err = lines(path, func(line []byte) error {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			return err
		}
		for _, rl := range ld.ResourceLogs().All() {
			if v, ok := rl.Resource().Attributes().Get("service.name"); !ok || v.Str() != service {
				continue
			}
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					if rec.SeverityNumber() > plog.SeverityNumberInfo4 {
						r.Warnings++
					}
					source, _ := rec.Attributes().Get("perfscope.tail.source")
					if rec.EventName() == "perfscope.tail" && source.AsString() == "spans" {
						r.read(rec, began)
					}
				}
			}
		}
		return nil
	})
	return r, err
}

func (r *Result) read(rec plog.LogRecord, began time.Time) {
	attrs := rec.Attributes().AsRaw()
	r.Difference, _ = attrs["perfscope.tail.difference"].(string)
	r.Explained, _ = attrs["perfscope.tail.explained"].(float64)
	r.Scope, _ = attrs["perfscope.search_scope"].(float64)
	r.Summary, r.Suspects = rec.Body().AsString(), nil
	list, _ := attrs["perfscope.suspects"].([]any)
	for _, s := range list {
		if m, ok := s.(map[string]any); ok {
			name, _ := m["code.function.name"].(string)
			r.Suspects = append(r.Suspects, name)
		}
	}
	if r.Seconds == 0 && len(r.Suspects) > 0 {
		r.Seconds = rec.ObservedTimestamp().AsTime().Sub(began).Seconds()
	}
}

// annotated is the share of the slow spans that have an event, and of the others.
func annotated(path string, slow map[string]bool) (right, wrong float64, err error) {
	var told, all [2]float64
	err = lines(path, func(line []byte) error {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					is := 0
					if slow[span.SpanID().String()] {
						is = 1
					}
					all[is]++
					for _, ev := range span.Events().All() {
						if ev.Name() == "perfscope.slow_request" {
							told[is]++
						}
					}
				}
			}
		}
		return nil
	})
	share := func(is int) float64 {
		if all[is] == 0 {
			return 0
		}
		return inference.Round(told[is] / all[is])
	}
	return share(1), share(0), err
}

// requests are the spans of a file, in the order of their ends.
func requests(path string) (list []inference.Request, err error) {
	err = lines(path, func(line []byte) error {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					list = append(list, inference.Request{
						Kind: span.Name(), ID: span.SpanID(), Start: int64(span.StartTimestamp()), End: int64(span.EndTimestamp()),
					})
				}
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b inference.Request) int { return cmp.Compare(a.End, b.End) })
	return list, err
}

// replayed is what is said of a service by its recording, when some requests are told
// of as they are by an SDK; pick may change what was recorded.
func replayed(path, service string, began time.Time, requests []inference.Request, cfg inference.Config, pick func(plog.Logs)) (r Result, err error) {
	var a *inference.Analyzer
	latest, told := int64(0), map[string]inference.Tail{}
	take := func() {
		const late = int64(2 * time.Second)
		n := 0
		for n < len(requests) && requests[n].End < latest-late {
			n++
		}
		a.AddRequests(requests[:n])
		requests = requests[n:]
		a.Advance(latest - late)
		for _, t := range a.Tails() {
			if t.News && t.Spans == r.Spans {
				told[t.Kind] = t
				r.since(&t, began)
			}
		}
	}
	r.Spans = len(requests) > 0
	err = recording.Read(path, func(ld plog.Logs) error {
		pick(ld)
		for _, rl := range ld.ResourceLogs().All() {
			attrs := rl.Resource().Attributes()
			if v, ok := attrs.Get("service.name"); !ok || v.Str() != service {
				continue
			}
			arch := "amd64"
			if v, ok := attrs.Get("host.arch"); ok {
				arch = v.AsString()
			}
			if a == nil {
				a = inference.NewAnalyzer(cfg, arch)
			}
			h := tracelog.Handler{
				Arch: arch,
				Batch: func(_ string, b *threadtrace.Batch) {
					for i := range b.Events {
						latest = max(latest, b.Events[i].End())
					}
					a.AddBatch(b)
				},
				Coverage: func(c *threadtrace.Coverage) { latest = max(latest, c.End); a.AddCoverage(*c) },
			}
			for _, sl := range rl.ScopeLogs().All() {
				if errs := tracelog.Decode(sl.LogRecords(), h); len(errs) > 0 {
					return errs[0]
				}
			}
			take()
		}
		return nil
	})
	if errors.Is(err, recording.ErrTruncated) {
		err = nil
	}
	if t, ok := costliest(told); ok {
		r.take(&t)
	}
	return r, err
}

// costliest is, of what was said last of each kind, that of the one whose slow requests cost
// most: it is looked at first.
func costliest(told map[string]inference.Tail) (most inference.Tail, ok bool) {
	costs := func(t *inference.Tail) float64 { return t.Requests * t.Share * float64(t.Slow-t.Fast) }
	for _, kind := range slices.Sorted(maps.Keys(told)) {
		if t := told[kind]; !ok || costs(&t) > costs(&most) {
			most, ok = t, true
		}
	}
	return most, ok
}

// since notes when something was told first.
func (r *Result) since(t *inference.Tail, began time.Time) {
	if r.Seconds == 0 && len(t.Suspects) > 0 {
		r.Seconds = time.Duration(t.End - began.UnixNano()).Seconds()
	}
}

// take is what a tail says.
func (r *Result) take(t *inference.Tail) {
	r.Difference, r.Explained, r.Scope, r.Summary, r.Suspects = string(t.Difference), t.Explained, t.Scope, t.Summary, nil
	for _, s := range t.Suspects {
		r.Suspects = append(r.Suspects, s.Function)
	}
}
