package window

import (
	"testing"

	"github.com/perfscope/perfscope/internal/suspect"
)

// TestOnsetWithinAHop has a fault begin and end two and a half seconds into hops.
func TestOnsetWithinAHop(t *testing.T) {
	const seconds = 12
	for name, c := range map[string]struct {
		fault load
		exact bool
	}{
		"a new function": {with(normal(1), func(l *load) {
			l.busy["scan handle loop main"] = 0.5
			l.waits[0].share = 0.4
		}), true},
		"a new wait": {with(normal(1), func(l *load) {
			l.waits[0].also = &site{stack: "@fsync save handle loop main", call: "fsync", share: 0.6}
			l.waits[0].share = 0.3
		}), true},
		// It ran before the fault, too: nothing tells when it began to take longer.
		"the same, only more": {with(normal(1), func(l *load) {
			l.busy["parse handle loop main"] = 0.5
			l.waits[0].share = 0.4
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.run(62, normal(1)) // the hops begin at multiples of five seconds
			onset := s.now
			s.run(seconds, c.fault)
			end := s.now
			s.run(8, normal(1))
			if len(s.found) == 0 {
				t.Fatal("nothing was found")
			}
			first, last := bounds(s.found[0].Units), bounds(s.found[len(s.found)-1].Units)
			early, late := onset-first.Start, last.End-end
			t.Logf("%d anomalies; begins %d ms early, ends %d ms late", len(s.found), early/1e6, late/1e6)
			const near = second / 2
			if exact := early < near && early > -near; exact != c.exact {
				t.Errorf("the first begins %d ms early", early/1e6)
			}
			if exact := late < near && late > -near; exact != c.exact {
				t.Errorf("the last ends %d ms late", late/1e6)
			}
		})
	}
}

// TestEndWithinAHop has a fault end early in a hop, which is as usual as a whole.
func TestEndWithinAHop(t *testing.T) {
	for name, c := range map[string]struct {
		fault load
		tail  bool
	}{
		"a new function": {with(normal(1), func(l *load) { l.busy["scan handle loop main"] = 0.2 }), true},
		// It runs after the fault, too: nothing tells when it stopped to take longer.
		"the same, only more": {with(normal(1), func(l *load) { l.busy["parse handle loop main"] = 0.15 }), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.run(60, normal(1)) // the hops begin at multiples of five seconds
			s.run(11, c.fault)
			end := s.now
			s.run(14, normal(1))
			if len(s.found) == 0 {
				t.Fatal("nothing was found")
			}
			last := s.found[len(s.found)-1]
			if tail := last.Start < end && last.End > end; tail != c.tail {
				t.Fatalf("the last of %d anomalies is from %d to %d ms after the end, score %v", len(s.found), (last.Start-end)/1e6, (last.End-end)/1e6, last.Score)
			}
			if !c.tail {
				return
			}
			if late := bounds(last.Units).End - end; late > second/2 || late < -second/2 {
				t.Errorf("it ends %d ms late", late/1e6)
			}
			if !last.Repeat || last.ID != s.found[0].ID || last.Score >= doubt {
				t.Errorf("the hop is abnormal by itself: %+v", last)
			}
		})
	}
}

func bounds(units []suspect.Span) suspect.Span {
	b := units[0]
	for _, u := range units[1:] {
		b.Start, b.End = min(b.Start, u.Start), max(b.End, u.End)
	}
	return b
}
