package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestProspects: each service has one line that says how it stands.
func TestProspects(t *testing.T) {
	stacks := func(function string, n int) *threadtrace.Batch {
		b := &threadtrace.Batch{}
		for range n {
			b.Stacks = append(b.Stacks, threadtrace.Stack{Frames: []threadtrace.Frame{{Function: function, Module: "server"}}})
		}
		return b
	}
	runtimes := func(runtime string, n int) *threadtrace.Batch {
		b := stacks(runtime, n)
		for i := range b.Stacks {
			b.Stacks[i].Frames[0].Origin = threadtrace.OriginRuntime
		}
		return b
	}
	learned := inference.Stats{Active: 0.2, Units: 40, UnitsSeen: 40}
	for name, tc := range map[string]struct {
		stats      map[time.Duration]inference.Stats
		batch      *threadtrace.Batch
		want       []string
		signatures bool
		runtime    string
		do         string
	}{
		"learned": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 35 * time.Second: learned}, stacks("serve", 100),
			[]string{"A service is learned: from now on it is judged."}, false, "", "",
		},
		"too quiet, and learned when it works": {
			map[time.Duration]inference.Stats{0: {}, 5 * time.Minute: learned}, stacks("serve", 100),
			[]string{"A service cannot be judged yet.", "A service is learned: from now on it is judged."}, false, "", "",
		},
		"idle for ever is said ever more rarely": {
			map[time.Duration]inference.Stats{0: {}}, nil,
			[]string{"A service cannot be judged yet.", "A service cannot be judged yet."}, false, "", "", // after 3 and 15 minutes, then 63
		},
		"a past of nothing is none": {
			map[time.Duration]inference.Stats{0: {}, 35 * time.Second: {Load: 1, HopsJudged: 1}}, nil,
			[]string{"A service cannot be judged yet.", "A service cannot be judged yet."}, false, "", "",
		},
		"no names": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, stacks("", 100),
			[]string{"A service is learned: from now on it is judged.", "The functions of a service have hardly any names"}, false, "", "",
		},
		"no stacks": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, nil,
			[]string{"A service is learned: from now on it is judged.", "A service cannot be judged by function: no stack has come"}, false, "", "",
		},
		"signatures without calls": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, stacks("serve", 100),
			[]string{"A service is learned: from now on it is judged.", "Signatures tell nothing of a service"}, true, "", "",
		},
		"node without its flags": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, runtimes("uv__run_timers", 100),
			[]string{"A service is learned: from now on it is judged.", "The functions of a service have hardly any names"}, false, "nodejs", "--perf-basic-prof --interpreted-frames-native-stack",
		},
		"java without a map": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, runtimes("JavaThread::run", 100),
			[]string{"A service is learned: from now on it is judged.", "The functions of a service have hardly any names"}, false, "jvm", "jvm::perf_map_interval",
		},
		"node with them": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, stacks("handle", 100),
			[]string{"A service is learned: from now on it is judged."}, false, "nodejs", "",
		},
		"few stacks say nothing": {
			map[time.Duration]inference.Stats{0: {UnitsSeen: 5}, 30 * time.Second: learned}, stacks("", 10),
			[]string{"A service is learned: from now on it is judged."}, false, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			attrs := pcommon.NewMap()
			attrs.PutStr("process.runtime.name", tc.runtime)
			core, logs := observer.New(zap.InfoLevel)
			s := &service{name: "redis"}
			s.prospects.signatures = tc.signatures
			s.processes.note(1, attrs, 1)
			if tc.batch != nil {
				s.prospects.see(tc.batch)
			}
			start := int64(1_700_000_000_000_000_000)
			for at := time.Duration(0); at <= time.Hour; at += 5 * time.Second {
				if now, set := tc.stats[at]; set {
					s.stats = now
				}
				s.prospects.look(zap.New(core), s, start+int64(at))
			}
			var got []string
			for _, l := range logs.All() {
				got = append(got, l.Message)
				assert.Equal(t, "redis", l.ContextMap()["service.name"])
			}
			if tc.do != "" {
				assert.Contains(t, logs.All()[len(got)-1].ContextMap()["do"], tc.do)
			}
			if assert.Len(t, got, len(tc.want), "%q", got) {
				for i, want := range tc.want {
					assert.Contains(t, got[i], want)
				}
			}
		})
	}
}
