package inference

import (
	"slices"
	"testing"
	"time"
)

// timeOf is the time with a function on the stack.
func timeOf(p *Profile, function string) (now, normal float64) {
	for _, s := range p.Samples {
		for _, f := range s.Stack {
			if p.Functions[f].Name == function {
				now, normal = now+s.Now, normal+s.Normal
				break
			}
		}
	}
	return now, normal
}

func slowServer(t *testing.T, after int) *server {
	t.Helper()
	s := newServer(t, 1)
	s.run(120, steady(1))
	s.run(after, with(steady(1), func(l *load) { l.busy["scan handle loop main"] = 0.4 }))
	return s
}

func TestASnapshotHasTheTimelineAndTheStacks(t *testing.T) {
	s := slowServer(t, 30)
	snap := s.analyzer.Snapshot()
	if snap.Open == nil || snap.Open.Suspects[0].Function != "scan" || !snap.Learned || len(snap.Episodes) != 0 {
		t.Fatalf("open: %+v", snap.Open)
	}
	fs := snap.Figures
	if len(fs) < 28 {
		t.Fatalf("%d hops of 150 s", len(fs))
	}
	for i, f := range fs {
		fault := f.Start >= epoch+120*second
		if f.End-f.Start != 5*second || i > 0 && f.Start != fs[i-1].End {
			t.Errorf("hop %d is from %d to %d", i, f.Start, f.End)
		}
		if f.Abnormal != fault || fault && f.Score < 1 || !fault && f.Score >= 1 {
			t.Errorf("%s: %+v", time.Duration(f.Start-epoch), f)
		}
		if f.Judged != (i >= minPast+1) && i != minPast {
			t.Errorf("hop %d is judged: %v", i, f.Judged)
		}
		if f.Traced != 1 || f.CPU <= 0 {
			t.Errorf("hop %d: %+v", i, f)
		}
	}
	now, ok := snap.Between(snap.Open.Onset, snap.Open.End)
	if !ok || !now.Compared {
		t.Fatalf("nothing is known of the anomaly's time: %+v", now)
	}
	if scan, was := timeOf(&now, "scan"); scan < 0.3 || scan > 0.5 || was != 0 {
		t.Errorf("scan takes %.2f s/s, and took %.2f", scan, was)
	}
	before, ok := snap.Between(epoch+60*second, epoch+100*second)
	if scan, _ := timeOf(&before, "scan"); !ok || scan != 0 || before.Hops != 8 {
		t.Errorf("before the fault scan took %.2f s/s in %d hops", scan, before.Hops)
	}
	if now, normal := timeOf(&before, "main"); now <= 0 || normal/now < 0.8 || normal/now > 1.25 {
		t.Errorf("a healthy stretch has %.3f where %.3f is normal", now, normal)
	}
	if _, ok := snap.Between(epoch-100*second, epoch); ok {
		t.Error("stacks of a time before the service was seen")
	}
	if len(now.Calls) == 0 || now.Calls[0].Rate == 0 || now.Calls[0].NormalRate == 0 {
		t.Errorf("calls: %+v", now.Calls)
	}
}

// TestASnapshotStaysAsItIs while the analyzer goes on.
func TestASnapshotStaysAsItIs(t *testing.T) {
	s := slowServer(t, 20)
	snap := s.analyzer.Snapshot()
	from, to := snap.Held()
	want, _ := snap.Between(from, to)
	same := func(when string) {
		t.Helper()
		again, _ := snap.Between(from, to)
		if !slices.EqualFunc(want.Samples, again.Samples, func(a, b Sample) bool { return a.compare(b) == 0 }) {
			t.Errorf("%s it is another", when)
		}
	}
	s.run(40, steady(1))
	same("after the anomaly")
	s.run(60, with(steady(1), func(l *load) { l.busy["other handle loop main"] = 0.5 }))
	same("with new functions")
}

func TestAnEpisodeIsKeptWhenItIsOver(t *testing.T) {
	s := slowServer(t, 30)
	s.run(30, steady(1))
	snap := s.analyzer.Snapshot()
	if snap.Open != nil || len(snap.Episodes) != 1 {
		t.Fatalf("open: %+v, over: %d", snap.Open, len(snap.Episodes))
	}
	e := snap.Episodes[0]
	if e.Anomaly.State != StateCleared || e.Anomaly.Suspects[0].Function != "scan" {
		t.Errorf("%+v", e.Anomaly)
	}
	if scan, was := timeOf(&e.Profile, "scan"); scan < 0.3 || scan > 0.5 || was != 0 {
		t.Errorf("scan took %.2f s/s, and %.2f before", scan, was)
	}
	for range maxEpisodes + 1 {
		s.run(30, with(steady(1), func(l *load) { l.busy["scan handle loop main"] = 0.4 }))
		s.run(60, steady(1))
	}
	if got := s.analyzer.Snapshot().Episodes; len(got) != maxEpisodes || got[0].Anomaly.ID == e.Anomaly.ID {
		t.Errorf("%d episodes are kept", len(got))
	}
}

// TestWhatIsKeptToBeShownIsBounded, however long the service runs.
func TestWhatIsKeptToBeShownIsBounded(t *testing.T) {
	list, kept := []int(nil), []int(nil)
	for i := range 10_000 {
		if i == 5000 {
			kept = last(list, 60)
		}
		list = appendBounded(list, i, 60)
		if len(list) > 91 || list[len(list)-1] != i {
			t.Fatalf("%d of at most 91", len(list))
		}
	}
	if kept[0] != 4940 || kept[59] != 4999 {
		t.Errorf("who has a part of the list has %v", kept)
	}
	p := Profile{Samples: []Sample{{Now: 1}, {Normal: 3}, {Now: 2}}}
	if p.keep(2); len(p.Samples) != 2 || p.Samples[0].Normal != 3 || p.Samples[1].Now != 2 {
		t.Errorf("kept: %+v", p.Samples)
	}
}
