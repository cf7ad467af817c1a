package tail

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// What a goroutine does between two rests is a request, whatever it waits for meanwhile.
func TestRequestsOfGoroutines(t *testing.T) {
	const ms, start = int64(time.Millisecond), int64(1e18)
	stacks := frames.NewTable()
	intern := func(functions ...string) uint32 {
		s := threadtrace.Stack{}
		for _, f := range functions {
			s.Frames = append(s.Frames, threadtrace.Frame{Function: f, Module: "shop"})
		}
		return stacks.InternPlace(&s)
	}
	rest, asks, sleeps := intern("peek", "serve"), intern("roundTrip", "fetch", "show", "serve"), intern("pause", "retry", "show", "serve")
	type wait struct {
		goroutine int32
		from, to  int64 // ms
		stack     uint32
		cut       bool
	}
	for _, tc := range []struct {
		name  string
		waits []wait
		want  []string
	}{
		{"it is at rest again", []wait{{1, 0, 100, rest, true}, {1, 110, 190, rest, false}}, []string{"100-110"}},
		{"it waits amid it", []wait{{1, 0, 100, rest, true}, {1, 110, 180, asks, false}, {1, 190, 300, rest, false}}, []string{"100-190"}},
		{"it waits again and again", []wait{
			{1, 0, 100, rest, true}, {1, 110, 130, sleeps, false}, {1, 130, 150, sleeps, false}, {1, 160, 180, asks, false}, {1, 190, 300, rest, false},
		}, []string{"100-190"}},
		{"a rest is told of twice", []wait{{1, 0, 100, rest, true}, {1, 110, 150, rest, false}, {1, 110, 300, rest, false}, {1, 310, 400, rest, false}}, []string{"100-110", "300-310"}},
		{"each by itself", []wait{{1, 0, 100, rest, true}, {2, 0, 130, rest, true}, {1, 150, 400, rest, false}, {2, 170, 400, rest, false}}, []string{"100-150", "130-170"}},
		{"it was not followed in between", []wait{{1, 0, 100, rest, true}, {1, 500, 600, rest, true}, {1, 620, 700, rest, false}}, []string{"600-620"}},
		{"it was not followed while it waited", []wait{{1, 0, 100, rest, true}, {1, 500, 520, asks, true}, {1, 530, 700, rest, false}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := Goroutines{Stacks: stacks}
			var got []string
			for _, w := range tc.waits {
				e := threadtrace.Event{
					Kind: threadtrace.KindBlocked, Time: start + w.to*ms, Elapsed: (w.to - w.from) * ms, Number: threadtrace.WaitIO, Return: w.goroutine, Stack: w.stack, Cut: w.cut,
				}
				g.See(-1, &e, func(r Request) {
					if r.Kind != "serve" || !r.Goroutine || r.Unit || r.Thread != 0 {
						t.Errorf("%+v", r)
					}
					got = append(got, fmt.Sprintf("%d-%d", (r.Start-start)/ms, (r.End-start)/ms))
				})
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("requests are %v, want %v", got, tc.want)
			}
		})
	}
}

func TestGoroutinesAreBounded(t *testing.T) {
	g := Goroutines{Stacks: frames.NewTable()}
	for by := range int32(3 * maxCreators) {
		for id := range int32(3 * maxFollowed) {
			g.See(-1-by, &threadtrace.Event{Kind: threadtrace.KindBlocked, Time: 1e18, Elapsed: 1e6, Number: threadtrace.WaitIO, Return: 1 + id}, func(Request) {})
		}
	}
	if len(g.creators) != maxCreators || g.Len() != maxCreators*maxFollowed {
		t.Errorf("%d creators, %d goroutines", len(g.creators), g.Len())
	}
	g.Forget(1e18 + 1)
	if g.Len() != 0 {
		t.Errorf("%d goroutines are kept", g.Len())
	}
}
