package baseline

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

const (
	second    = int64(time.Second)
	start     = 1_700_000_000 * second
	fdatasync = 75
)

// on is a stack, innermost first; "libc:" and "inline:" say what a frame is.
func on(names ...string) (s threadtrace.Stack) {
	for _, name := range names {
		f := threadtrace.Frame{Function: name, Module: "server"}
		switch {
		case len(name) > 5 && name[:5] == "libc:":
			f.Function, f.Module, f.Origin = name[5:], "libc.so.6", threadtrace.OriginLibrary
		case len(name) > 7 && name[:7] == "inline:":
			f.Function, f.Inlined = name[7:], true
		}
		s.Frames = append(s.Frames, f)
	}
	return s
}

// seen is one kind of event that comes times a second from one second to
// another.
type seen struct {
	from, to, times int64
	kind            threadtrace.Kind
	call            int32
	stack           threadtrace.Stack
	pid             int
}

func write(t *testing.T, all []seen) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.bin")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := recording.NewWriter(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		b := &threadtrace.Batch{ThreadID: 1, Stacks: []threadtrace.Stack{s.stack}}
		for at := s.from; at < s.to; at++ {
			for i := range s.times {
				b.Events = append(b.Events, threadtrace.Event{
					Kind: s.kind, Number: s.call, Stack: 1, Duration: second / 50,
					Time: start + at*second + i*second/s.times,
				})
			}
		}
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutInt("process.pid", int64(max(s.pid, 1)))
		rl.Resource().Attributes().PutStr("host.arch", "amd64")
		tracelog.AppendBatch(rl.ScopeLogs().AppendEmpty().LogRecords(), tracelog.FormatPacked, "amd64", b)
		if err := w.Write(ld); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// intervals is what a thin recording of some processes has of it, a second each.
func intervals(all []seen, pids map[int]bool) (out []*thin.Interval) {
	for at := int64(0); at < 30; at++ {
		i := &thin.Interval{Start: start + at*second, End: start + (at+1)*second}
		for n, s := range all {
			i.Stacks = append(i.Stacks, s.stack)
			if at < s.from || at >= s.to || len(pids) > 0 && !pids[s.pid] {
				continue
			}
			i.Cells = append(i.Cells, thin.Cell{
				Thread: 1, Stack: uint32(n + 1), Number: max(0, s.call), Waiting: s.kind == threadtrace.KindBlocked, Time: s.times * second / 50,
			})
		}
		out = append(out, i)
	}
	return out
}

func TestRank(t *testing.T) {
	const sample, blocked, none = threadtrace.KindSample, threadtrace.KindBlocked, threadtrace.NoCall
	for name, c := range map[string]struct {
		seen  []seen
		pids  map[int]bool
		truth string
		want  Ranks
	}{
		"a function that computes more than before": {
			seen: []seen{
				{0, 20, 9, sample, none, on("parse", "serve", "main"), 1},
				{10, 20, 5, sample, none, on("rehash", "serve", "main"), 1},
			},
			truth: "rehash",
			want:  Ranks{CPUSelf: 2, CPUInclusive: 4, CPUIncreaseNearest: 1, Wall: 2},
		},
		"its time is in a library": {
			seen:  []seen{{10, 20, 5, sample, none, on("libc:memcpy", "rehash", "main"), 1}},
			truth: "rehash",
			// Two of three functions share the second place's value.
			want: Ranks{CPUSelf: 0, CPUInclusive: 3 - 1, CPUIncreaseNearest: 1, Wall: 1},
		},
		"it waits in a call": {
			seen: []seen{
				{10, 20, 5, blocked, fdatasync, on("libc:fdatasync", "flush", "main"), 1},
				{0, 20, 20, blocked, 232, on("libc:epoll_wait", "loop", "main"), 1},
				{10, 20, 1, sample, fdatasync, on("libc:fdatasync", "flush", "main"), 1},
			},
			truth: "flush",
			want:  Ranks{CPUInclusive: 2, CPUIncreaseNearest: 1, SyscallTime: 2, Wall: 2},
		},
		"what it did in the normal phase counts against it": {
			seen: []seen{
				{0, 10, 6, sample, none, on("parse", "main"), 1},
				{10, 20, 7, sample, none, on("parse", "main"), 1},
				{10, 20, 2, sample, none, on("rehash", "main"), 1},
			},
			truth: "parse",
			want:  Ranks{CPUSelf: 1, CPUInclusive: 2, CPUIncreaseNearest: 2, Wall: 1},
		},
		"a function that takes less is in no list of increases": {
			seen: []seen{
				{0, 10, 6, sample, none, on("parse", "main"), 1},
				{10, 20, 5, sample, none, on("parse", "main"), 1},
			},
			truth: "parse",
			want:  Ranks{CPUSelf: 1, CPUInclusive: 2, Wall: 1},
		},
		"inlined code is its holder's, a clone is the function": {
			seen:  []seen{{10, 20, 5, sample, none, on("inline:hash", "rehash.part.0", "main"), 1}},
			truth: "rehash",
			want:  Ranks{CPUSelf: 1, CPUInclusive: 2, CPUIncreaseNearest: 1, Wall: 1},
		},
		"recursion counts once": {
			seen: []seen{
				{10, 20, 3, sample, none, on("walk", "walk", "walk", "main"), 1},
				{10, 20, 1, sample, none, on("parse", "main"), 1},
			},
			truth: "walk",
			want:  Ranks{CPUSelf: 1, CPUInclusive: 2, CPUIncreaseNearest: 1, Wall: 1},
		},
		"other processes are left out": {
			seen: []seen{
				{10, 20, 9, sample, none, on("parse", "main"), 7},
				{10, 20, 5, sample, none, on("rehash"), 8},
			},
			pids:  map[int]bool{8: true},
			truth: "rehash",
			want:  Ranks{CPUSelf: 1, CPUInclusive: 1, CPUIncreaseNearest: 1, Wall: 1},
		},
		"a tie gives the middle, rounded up": {
			seen: []seen{
				{10, 20, 9, sample, none, on("first"), 1},
				{10, 20, 5, sample, none, on("a"), 1},
				{10, 20, 5, sample, none, on("b"), 1},
				{10, 20, 5, sample, none, on("rehash"), 1},
				{10, 20, 5, sample, none, on("c"), 1},
			},
			truth: "rehash", // places 2 to 5, 3.5 is their middle
			want:  Ranks{CPUSelf: 4, CPUInclusive: 4, CPUIncreaseNearest: 4, Wall: 4},
		},
		"outside of both phases nothing counts": {
			seen:  []seen{{20, 30, 9, sample, none, on("rehash"), 1}},
			truth: "rehash",
		},
		"a name that begins alike is another": {
			seen:  []seen{{10, 20, 9, sample, none, on("rehashAll"), 1}},
			truth: "rehash",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := Question{
				PIDs: c.pids, Truth: []string{c.truth},
				Normal: Span{start, start + 10*second}, Slow: Span{start + 10*second, start + 20*second},
			}
			got, err := Rank(write(t, c.seen), q)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got := RankThin([][]*thin.Interval{intervals(c.seen, c.pids)}, q); got != c.want {
				t.Errorf("of the thin recording: got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestRankRefuses(t *testing.T) {
	phase := Span{start, start + second}
	if _, err := Rank("no such file", Question{Normal: phase, Slow: phase}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Rank("no such file", Question{Normal: phase}); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty phase goes unseen: %v", err)
	}
}
