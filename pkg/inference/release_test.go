package inference

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// released is what a build after another is found to have changed, and after how long.
func released(s *server, before, after load, patience time.Duration) (r Release, took time.Duration, ok bool, err error) {
	s.analyzer.Follow("first", "server", epoch-int64(time.Hour))
	s.run(300, before)
	if err := s.restart("second", s.now); err != nil {
		return r, 0, false, err
	}
	s.analyzer.Succeed()
	begun := s.now
	for s.now-begun < int64(patience) {
		s.run(5, after)
		if r, ok := s.analyzer.Release(); ok {
			return r, time.Duration(s.now - begun), true, nil
		}
	}
	return r, 0, false, nil
}

func releasedShop() load {
	return with(steady(1), func(l *load) {
		l.busy = map[string]float64{
			"parse handle loop main": 0.12, "reply handle loop main": 0.1, "encode reply handle loop main": 0.08,
			"poll loop main": 0.06, "lookup find handle loop main": 0.14,
		}
		l.waits[0].share = 0.5
	})
}

func TestReleases(t *testing.T) {
	change := func(c func(map[string]float64)) load {
		return with(releasedShop(), func(l *load) { c(l.busy) })
	}
	for _, tc := range []struct {
		name  string
		after load
		want  Verdict
		first string
	}{
		{"the same code", releasedShop(), VerdictNoChange, ""},
		{"more work", with(releasedShop(), func(l *load) {
			for k := range l.busy {
				l.busy[k] *= 1.3
			}
			for i := range l.calls {
				l.calls[i].n = l.calls[i].n * 13 / 10
			}
		}), VerdictNoChange, ""},
		{"a dearer function", change(func(b map[string]float64) { b["lookup find handle loop main"] *= 1.4 }), VerdictDearer, "lookup"},
		{"a cheaper function", change(func(b map[string]float64) { b["lookup find handle loop main"] *= 0.5 }), VerdictCheaper, "lookup"},
		{"a new function", change(func(b map[string]float64) { b["verify check handle loop main"] = 0.1 }), VerdictDearer, "verify"},
		{"a renamed function", change(func(b map[string]float64) {
			delete(b, "lookup find handle loop main")
			b["lookupAccount find handle loop main"] = 0.14
		}), VerdictNoChange, ""},
		{"an inlined function", change(func(b map[string]float64) {
			delete(b, "encode reply handle loop main")
			b["reply handle loop main"] = 0.18
		}), VerdictNoChange, ""},
		{"moved code", change(func(b map[string]float64) {
			b["parse handle loop main"] = 0.04
			b["tokens scan handle loop main"] = 0.08
		}), VerdictNoChange, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				r, took, ok, err := released(s, releasedShop(), tc.after, 31*time.Minute)
				if err != nil {
					return err
				}
				if !ok || r.Verdict != tc.want {
					return fmt.Errorf("%s after %s, dearer %+v, cheaper %+v", r.Verdict, took, r.Dearer, r.Cheaper)
				}
				list := slices.Concat(r.Dearer, r.Cheaper)
				if tc.first != "" && list[0].Function != tc.first && (len(list) < 2 || list[1].Function != tc.first) {
					return fmt.Errorf("%s is not among the first of %+v", tc.first, list)
				}
				if tc.first != "" && took > 10*time.Minute {
					return fmt.Errorf("only after %s", took)
				}
				return nil
			})
		})
	}
}
